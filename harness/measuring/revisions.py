"""Git revisions of this repository, checked out side by side and ready to run, each by an interpreter of its own.

Not for what is done with them: a caller runs modules of a checkout in a process, and never imports one.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.children import environment as child_environment
from harness.children import environment_apart, git, python
from harness.errors import UsageError
from harness.measuring.hosts.protocol import Interpreter
from harness.record import CheckoutRecord

LOCK_FILE: Final = "requirements.lock"
LINES_QUOTED: Final = 8
USE_SHARED: Final = "Correct what it names, or use the libraries that are installed here with --environment shared."
COMMIT: Final = re.compile(r"[0-9a-f]{4,40}")
REFERENCE: Final = re.compile(r"[\w./-]+")


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit, under the name that somebody gave it."""

    name: str
    commit: str

    def __str__(self) -> str:
        return self.name if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:10]})"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A revision that is ready to be run: the interpreter finds its modules, wherever it is started."""

    revision: Revision
    interpreter: Interpreter
    directory: Path


Install = Callable[[Revision, Path, Path, Callable[[str], None]], Awaitable[Checkout]]
"""Makes the revision in the first path runnable, with room for an environment at the second; tells what it does."""


def resolve(name: str) -> Revision | None:
    """The commit that git knows by this name in the current repository; None where there is no such."""
    try:
        found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except OSError:
        return None
    return Revision(name, found.stdout.strip()) if found.returncode == 0 else None


BRANCHES_OF_CI: Final = (
    *("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME"),
    *("CHANGE_BRANCH", "BRANCH_NAME", "BITBUCKET_BRANCH"),
)
"""Where a job that has checked a commit out, and no branch, says whose it is."""


def checked_out() -> str | None:
    """The commit of the current directory, `-dirty` where something differs from it; None without git."""
    try:
        done = git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except OSError:
        return None
    return done.stdout.strip() or None


def current_checkout() -> CheckoutRecord | None:
    """Says what a run measures in the current directory; None outside of a repository."""
    revision = checked_out()
    if revision is None:
        return None
    branch = git("symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    said = next(filter(None, map(os.environ.get, BRANCHES_OF_CI)), None)
    return CheckoutRecord(revision=revision, branch=branch or said)


def obstacle(name: str) -> str | None:
    """Says why git cannot find this name here whatever it is, in git's words; None without a reason."""
    try:
        looked = git("rev-parse", "--git-dir")
    except OSError as error:
        return f"git cannot be started ({error.strerror}). Install it, or put it on the PATH."
    if looked.returncode:
        return looked.stderr.strip()
    if not git("rev-list", "--all", "--max-count=1").stdout and git("rev-parse", "--verify", "HEAD").returncode:
        return "this repository has no commit yet. Make one."
    if git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        return f"this clone is shallow, so it lacks what was not fetched. Fetch {name} with `{_fetching(name)}`."
    return None


def _fetching(name: str) -> str:
    """How a shallow clone gets a branch or tag under its own name, or what else lies in the history that it has."""
    if name == "HEAD" or not REFERENCE.fullmatch(name) or COMMIT.fullmatch(name):
        return "git fetch --unshallow"
    remote = name.removeprefix("origin/")
    return f"git fetch --unshallow origin {remote}:{name if remote == name else f'refs/remotes/{name}'}"


def holds(revision: Revision, path: str) -> bool:
    """Says whether it has a file at this path from the top, where a checkout of it is run."""
    return git("cat-file", "-e", f"{revision.commit}:{path}").returncode == 0


@asynccontextmanager
async def checkouts(
    revisions: Sequence[Revision], install: Install, report: Callable[[str], None]
) -> AsyncGenerator[list[Checkout]]:
    """Each revision, checked out and installed; one commit only once. All of it is gone when the block ends."""
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anima-harness-revisions-")))
        found: dict[str, Checkout] = {}
        for revision in revisions:
            if revision.commit not in found:
                report(f"checking {revision} out")
                directory = room / f"checkout_{len(found)}"
                stack.enter_context(_worktree(revision, directory))
                found[revision.commit] = await install(revision, directory, room / f"environment_{len(found)}", report)
        yield [found[revision.commit] for revision in revisions]


async def own_environment(
    revision: Revision, directory: Path, environment: Path, report: Callable[[str], None]
) -> Checkout:
    """An environment with what the revision's lock names, or its declared dependencies where it has no lock."""
    report(f"{revision}: making an environment")
    await _run(revision, *python("-m", "venv", str(environment)))
    program = str(environment / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", program=program)
    report(f"{revision}: installing what it needs (pip's cache is used, and the network for what is not in it)")
    if (directory / LOCK_FILE).is_file():
        await _run(revision, *pip, "--requirement", str(directory / LOCK_FILE))
        await _run(revision, *pip, "--no-deps", "--no-build-isolation", "--editable", str(directory))
    else:
        await _run(revision, *pip, "--editable", str(directory))
    return Checkout(revision, Interpreter(program, environment_apart()), directory)


async def shared_environment(
    revision: Revision, directory: Path, environment: Path, report: Callable[[str], None]
) -> Checkout:
    """This interpreter and its libraries, with the revision's own code before them: right where both need the same."""
    del environment, report
    return Checkout(revision, Interpreter(sys.executable, child_environment(PYTHONPATH=str(directory))), directory)


INSTALLS: Final[Mapping[str, Install]] = {"own": own_environment, "shared": shared_environment}


@contextmanager
def _worktree(revision: Revision, directory: Path) -> Generator[None]:
    added = git("worktree", "add", "--detach", "--quiet", str(directory), revision.commit)
    if added.returncode:
        raise UsageError(f"git could not check {revision} out: {added.stderr.strip()}")
    try:
        yield
    finally:
        git("worktree", "remove", "--force", str(directory))


async def _run(revision: Revision, *command: str) -> None:
    await run_to_install(revision, command, USE_SHARED)


async def run_to_install(
    revision: Revision, command: Sequence[str], advice: str, *, directory: Path | None = None
) -> None:
    """Raises `UsageError` with the command's last lines, and the advice."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment_apart(),
            cwd=directory,
        )
    except OSError as error:
        raise UsageError(
            f"{revision} could not be installed: {command[0]} cannot be started ({error}). {advice}"
        ) from None
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = "\n".join(output.decode(errors="replace").strip().splitlines()[-LINES_QUOTED:])
        raise UsageError(
            f"{revision} could not be installed: {' '.join(command)} ended with {process.returncode}.\n{last}\n{advice}"
        )
