import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring.hosts.protocol import Interpreter
from harness.measuring.revisions import (
    BRANCHES_OF_CI,
    Checkout,
    Revision,
    _fetching,
    checked_out,
    checkouts,
    current_checkout,
    holds,
    obstacle,
    own_environment,
    resolve,
)
from harness.record import CheckoutRecord


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits of a file."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    for text in ("one", "two"):
        Path("file").write_text(text, encoding="utf-8")
        git("add", "file")
        git("commit", "-qm", text)
    return tmp_path


HOOK = """#!/bin/sh
env -0 >"$0.environment"
echo >"$0.begins"
read -r _ <"$0.ends"
"""
"""Tells what it was given, and goes on when it is told to."""


def known(name: str) -> Revision:
    revision = resolve(name)
    assert revision is not None
    return revision


class Installer:
    """Reads the file of each checkout instead of installing it."""

    def __init__(self, failing: str = "") -> None:
        self.read: list[str] = []
        self._failing = failing

    async def __call__(self, revision: Revision, directory: Path, _: Path, report: Callable[[str], None]) -> Checkout:
        report("installing")
        self.read.append((directory / "file").read_text(encoding="utf-8"))
        if self.read[-1] == self._failing:
            raise UsageError("cannot be installed")
        return Checkout(revision, Interpreter(sys.executable, {}), directory)


def worktrees() -> int:
    return len(git("worktree", "list").splitlines())


def test_a_revision_is_what_git_knows_by_its_name() -> None:
    assert known("main").commit == known("HEAD").commit != known("HEAD~1").commit
    assert str(known("main")) == f"main ({known('main').commit[:10]})"
    assert resolve("nowhere") is None
    assert resolve("--all") is None
    assert holds(known("HEAD"), "file")
    assert not holds(known("HEAD"), "harness/worker.py")


async def test_each_commit_is_checked_out_once_and_all_are_gone_in_the_end() -> None:
    install, told = Installer(), list[str]()
    async with checkouts([known("HEAD~1"), known("main"), known("HEAD")], install, told.append) as ready:
        assert [checkout.revision.name for checkout in ready] == ["HEAD~1", "main", "main"]
        assert install.read == ["one", "two"]
        assert worktrees() == 3
    assert worktrees() == 1
    assert any("HEAD~1" in line for line in told)


async def test_nothing_is_left_when_one_cannot_be_installed() -> None:
    with pytest.raises(UsageError, match="cannot be installed"):
        async with checkouts([known("HEAD~1"), known("main")], Installer(failing="two"), lambda _: None):
            pytest.fail("it was not installed")
    assert worktrees() == 1


@pytest.mark.slow
async def test_an_installation_that_fails_says_so_in_its_own_words(repository: Path, tmp_path: Path) -> None:
    # A file that is no requirement fails without asking the network.
    (repository / "requirements.lock").write_text("-r missing.txt\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"(?s)main .* could not be installed.*missing\.txt.*--environment shared"):
        await own_environment(known("main"), repository, tmp_path / "environment", lambda _: None)


@pytest.fixture(params=["the checkout", "a linked worktree"])
def place(request: pytest.FixtureRequest, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody commits."""
    if request.param == "the checkout":
        return repository
    git("worktree", "add", "-q", "-b", "topic", str(repository / "linked"))
    (repository / ".git" / "info" / "exclude").write_text("linked\n", encoding="utf-8")
    monkeypatch.chdir(repository / "linked")
    return repository / "linked"


@contextmanager
def within_hook(hook: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Generator[None]:
    """This process, as the hook of a commit that is under way would be."""
    hook.write_text(HOOK, encoding="utf-8")
    # It would run in the checkouts, and measure again.
    hook.with_name("post-checkout").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    for path in (hook, hook.with_name("post-checkout")):
        path.chmod(0o755)
    begins, ends, environment = (hook.with_name(f"pre-commit.{name}") for name in ("begins", "ends", "environment"))
    os.mkfifo(begins)
    os.mkfifo(ends)
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "Mine", *arguments]
    with subprocess.Popen(command) as commit:
        begins.read_bytes()
        with monkeypatch.context() as patch:
            for entry in environment.read_text(encoding="utf-8").split("\0")[:-1]:
                patch.setenv(*entry.split("=", 1))
            assert "GIT_INDEX_FILE" in os.environ
            try:
                yield
            finally:
                ends.write_bytes(b"\n")
    assert commit.returncode == 0


@pytest.mark.parametrize("arguments", [(), ("-a",), ("--only", "file")])
async def test_a_commit_whose_hook_measures_has_the_users_change_and_nothing_else(
    repository: Path, place: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("three", encoding="utf-8")
    (place / "feature").write_text("new", encoding="utf-8")
    git("add", *(["feature"] if arguments else ["feature", "file"]))
    before = git("rev-parse", "--short=12", "HEAD").strip()
    install = Installer()
    with within_hook(repository / ".git" / "hooks" / "pre-commit", monkeypatch, *arguments):
        async with checkouts([known("HEAD"), known("HEAD~1")], install, lambda _: None):
            assert checked_out() == f"{before}-dirty"
    assert install.read == ["two", "one"]
    mine = {"file"} if "--only" in arguments else {"feature", "file"}
    assert set(git("show", "--format=", "--name-only", "HEAD").split()) == mine
    assert git("show", "HEAD:file") == "three"
    assert git("status", "--porcelain") == ("A  feature\n" if "--only" in arguments else "")
    assert (place / "feature").read_text(encoding="utf-8") == "new"


def test_what_was_checked_out_is_that_of_the_directory_and_not_of_a_hooks_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nothing")
    assert checked_out() == git_of("rev-parse", "--short=12", "HEAD")


def git_of(*arguments: str) -> str:
    """Without the test's variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_without_a_reason_a_name_is_just_unknown() -> None:
    assert obstacle("nowhere") is None


def test_a_repository_of_another_user_is_told_in_gits_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # What git's own tests set: the repository is then somebody else's.
    monkeypatch.setenv("HOME", str(tmp_path))
    program = tmp_path / "programs" / "git"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "$REAL_GIT" "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("REAL_GIT", subprocess.check_output(["which", "git"], text=True).strip())
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert resolve("HEAD") is None
    said = obstacle("HEAD")
    assert said is not None
    assert "dubious ownership" in said
    assert "safe.directory" in said


def test_a_shallow_clone_says_what_to_fetch(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("branch", "topic", "HEAD~1")
    git("clone", "-q", "--depth=1", f"file://{repository}", str(repository / "shallow"))
    monkeypatch.chdir(repository / "shallow")
    git("checkout", "-q", "--detach")
    for name in ("topic", "origin/topic", "HEAD~1", known("HEAD").commit[:6]):
        said = obstacle(name)
        assert said is not None
        assert said.startswith("this clone is shallow")
    assert resolve("topic") is None
    advised = str(obstacle("topic")).split("`")[1]
    assert advised == "git fetch --unshallow origin topic:topic"
    git(*advised.split()[1:])
    assert known("topic").commit == known("HEAD~1").commit
    assert obstacle("nowhere") is None


@pytest.mark.parametrize(
    ("name", "fetching"),
    [
        ("HEAD", "git fetch --unshallow"),
        ("main~3", "git fetch --unshallow"),
        ("0123abcd", "git fetch --unshallow"),
        ("origin/main", "git fetch --unshallow origin main:refs/remotes/origin/main"),
        ("feature/x-1", "git fetch --unshallow origin feature/x-1:feature/x-1"),
    ],
)
def test_a_branch_is_fetched_under_its_name_and_all_else_with_the_history(name: str, fetching: str) -> None:
    assert _fetching(name) == fetching


def test_a_directory_without_a_repository_or_a_commit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path / "outside")
    assert "not a git repository" in str(obstacle("HEAD"))
    git("init", "-q")
    assert obstacle("HEAD") == "this repository has no commit yet. Make one."


def test_a_bare_repository_is_as_good(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("clone", "-q", "--bare", str(repository), str(repository / "bare"))
    monkeypatch.chdir(repository / "bare")
    assert holds(known("HEAD"), "file")
    assert obstacle("HEAD") is None


def test_without_git_that_is_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert resolve("HEAD") is None
    assert "git cannot be started" in str(obstacle("HEAD"))
    assert checked_out() is None


def test_a_run_is_of_the_branch_that_is_checked_out_or_that_a_job_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BRANCHES_OF_CI:
        monkeypatch.delenv(name, raising=False)
    commit = git("rev-parse", "--short=12", "HEAD").strip()
    git("checkout", "-q", "-b", "feature/quick")
    assert current_checkout() == CheckoutRecord(revision=commit, branch="feature/quick")
    git("checkout", "-q", "--detach")
    assert current_checkout() == CheckoutRecord(revision=commit, branch=None)
    monkeypatch.setenv("GITHUB_REF_NAME", "12/merge")
    monkeypatch.setenv("GITHUB_HEAD_REF", "feature/quick")
    Path("file").write_text("three", encoding="utf-8")
    assert current_checkout() == CheckoutRecord(revision=f"{commit}-dirty", branch="feature/quick")


def test_outside_of_a_repository_a_run_is_of_no_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path / "outside")
    assert current_checkout() is None
