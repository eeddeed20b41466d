"""Deals with what nobody foresaw: its traceback goes into a log, and a sentence says where that lies."""

import contextlib
import tempfile
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import click

from harness.errors import HarnessError, Unexpected, hidden_anima, missing_extra, missing_module
from harness.redaction import without_secrets


def foreseen(error: Exception, log: Path | None = None) -> HarnessError:
    """The failure that its author explained, out of a group of concurrent ones too; else one with where its log lies.

    Without a log of the run's own it is a new file among the machine's temporary ones.
    """
    if isinstance(error, HarnessError):
        return error
    leaves = [_of_the_installation(leaf) or leaf for leaf in _leaves(error)]
    explained = [leaf for leaf in leaves if isinstance(leaf, HarnessError)]
    return explained[0] if len(explained) == len(leaves) else _unexpected(error, log)


def raise_first(failures: Iterable[HarnessError | None]) -> None:
    """Does nothing where there is none. The others are printed, since each has a cause to remove."""
    found = [failure for failure in failures if failure is not None]
    for failure in found[1:]:
        click.echo(f"harness: {without_secrets(str(failure))}", err=True)
    if found:
        raise found[0]


def failures_of(steps: Iterable[Callable[[], object]], log: Path) -> list[HarnessError]:
    """Takes each step, whatever becomes of the others."""
    failures: list[HarnessError] = []
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- a fault of one costs no other
            failures.append(foreseen(error, log))
    return failures


def _of_the_installation(error: BaseException) -> HarnessError | None:
    return missing_extra(error) or missing_module(error) or hidden_anima(error)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for each in group.exceptions for leaf in _leaves(each)]
    return [error]


def _unexpected(error: Exception, log: Path | None) -> Unexpected:
    cause = next(leaf for leaf in _leaves(error) if not isinstance(leaf, HarnessError))
    reason = without_secrets(f"an unexpected failure, {_named(cause)}")
    kept = _keep("".join(traceback.format_exception(error)), log)
    where = f"Its traceback is in {kept}, and --debug shows it" if kept else "--debug shows its traceback"
    failure = Unexpected(reason, f"{reason[0].upper()}{reason[1:]}. {where}.")
    failure.__cause__ = error
    return failure


def _named(error: BaseException) -> str:
    """As the last line of its traceback, cut to what fits a sentence."""
    return " ".join(traceback.format_exception_only(error)[-1].split())[:300].rstrip(".")


def _keep(text: str, log: Path | None) -> Path | None:
    """None where nothing can be written any more."""
    with contextlib.suppress(OSError):
        if log is None:
            with tempfile.NamedTemporaryFile(prefix="harness-", suffix=".log", delete=False) as file:
                log = Path(file.name)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n{without_secrets(text)}")
        return log
    return None
