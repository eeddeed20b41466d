import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.revisions import Checkout, Revision, checkouts, holds, own_environment, resolve
from harness.workers import Interpreter


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
        return Checkout(revision, Interpreter(sys.executable, {}))


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


async def test_an_installation_that_fails_says_so_in_its_own_words(repository: Path, tmp_path: Path) -> None:
    # A file that is no requirement fails without asking the network.
    (repository / "requirements.lock").write_text("-r missing.txt\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"(?s)main .* could not be installed.*missing\.txt.*--environment shared"):
        await own_environment(known("main"), repository, tmp_path / "environment", lambda _: None)
