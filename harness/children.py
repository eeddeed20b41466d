"""The processes that the harness starts: each gets an environment, and a way to find modules, that are made for it.

What a shell, a git hook or a CI job exports is meant for other programs. A git that inherits a hook's GIT_INDEX_FILE
writes into the commit that is being made, a client that inherits PGSSLMODE asks an embedded server for TLS, and a
Python that looks into the current directory imports somebody's `select.py`.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

DATABASE: Final = "PG"
"""What begins the variables of PostgreSQL's clients. An address states in itself what they would say."""

GIT: Final = "GIT_"
GIT_OF_THE_USER: Final = (
    "GIT_ASKPASS",
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_",  # Such as safe.directory, which a CI job states this way.
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_TERMINAL_PROMPT",
)
"""How git works for this user anywhere. All others name one repository, its index or a part of it."""

OF_TERMINALS: Final = frozenset({"PYTHONINSPECT", "PYTHONSTARTUP"})
"""A child that has ended must not begin to ask."""

OF_THE_NETWORK: Final = frozenset(
    {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"}
)
"""In lower case; programs read them in either. What talks to this machine alone may stumble over them."""

OF_LIBRARIES: Final = frozenset({"PYTHONHOME", "PYTHONPATH"})

SAFE_PATH: Final = "PYTHONSAFEPATH"

NO_HOOKS: Final = ("-c", f"core.hooksPath={os.devnull}")
"""A checkout of ours is none of the user's: a hook that measures would start another measurement."""


def environment(**stated: str) -> dict[str, str]:
    """Gives what this process has, without what is meant for other programs, and with what is stated."""
    return {name: value for name, value in os.environ.items() if not _misleads(name)} | stated


def local_environment(**stated: str) -> dict[str, str]:
    """For a child that talks to this machine alone: without proxies and certificates."""
    return {name: value for name, value in environment().items() if name.lower() not in OF_THE_NETWORK} | stated


def environment_apart() -> dict[str, str]:
    """For a Python with libraries of its own: nothing leads it to those of another."""
    return {name: value for name, value in environment().items() if name not in OF_LIBRARIES}


def python(*arguments: str, program: str = sys.executable) -> tuple[str, ...]:
    """The command of a Python that imports nothing from the current directory."""
    return (program, "-P", *arguments)


def modules_of_ours() -> dict[str, str]:
    """The variable with which a Python finds modules where this process does."""
    return {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


async def line_beginning(output: "asyncio.StreamReader", beginning: bytes) -> bytes:
    """The next line that begins as stated, of a child's standard output; empty where that has ended.

    Others are of a `sitecustomize` or a `.pth` file, which print before the child's own code runs.
    """
    while line := await output.readline():
        if line.startswith(beginning):
            return line
    return b""


@contextmanager
def spawning() -> Generator[None]:
    """Processes of `multiprocessing`, whose command is not ours, start within the block as those of `python` do."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        del os.environ[SAFE_PATH]
        if before is not None:
            os.environ[SAFE_PATH] = before


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The user's git on the repository of the current directory. Raises `OSError` when there is no git.

    It takes no lock that it can do without: a commit may be under way.
    """
    return subprocess.run(  # noqa: S603 -- without a shell
        ["git", *NO_HOOKS, *arguments],  # noqa: S607 -- the user's
        env=environment(GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _misleads(name: str) -> bool:
    of_git = name.startswith(GIT) and not name.startswith(GIT_OF_THE_USER)
    return of_git or name.startswith(DATABASE) or name in OF_TERMINALS
