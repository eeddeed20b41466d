"""Where runs are kept: a directory each, with the journal and the record made from it."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from harness import journal
from harness.errors import HarnessError, UsageError
from harness.record import RunRecord

RECORD_FILE: Final = "record.json"


def new_id(scenario_name: str, at: datetime) -> str:
    """Sorts by time, and two runs that start in one second differ."""
    return f"{scenario_name}-{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


REQUESTS_WRITTEN_MAX: Final = 1_000_000
"""Of a run with more the journal alone holds all: as one document of JSON they take gigabytes of memory."""


def is_written(record: RunRecord) -> bool:
    """Says whether there is to be a record beside the journal."""
    return sum(len(each.samples) for each in record.variants) <= REQUESTS_WRITTEN_MAX


def write_record(directory: Path, record: RunRecord) -> None:
    """Leaves none of a run that is too large for one. Raises `HarnessError`."""
    if not is_written(record):
        (directory / RECORD_FILE).unlink(missing_ok=True)
        return
    replace_file(directory / RECORD_FILE, record.model_dump_json(indent=1, exclude_defaults=True))


def replace_file(path: Path, text: str) -> None:
    """Whole or not at all: a temporary file, fsync, rename. Raises `HarnessError`.

    Of a link the file that it leads to is replaced. A device or a pipe, such as /dev/stdout, is written to.
    """
    try:
        if _is_replaceable(path):
            _replace(Path(os.path.realpath(path)), text)
        else:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HarnessError(
            f"{path} could not be written ({error.strerror}). The run's journal is whole: free some space or "
            "correct the path, then run `harness report`."
        ) from error


def _is_replaceable(path: Path) -> bool:
    """A file, or nothing yet. What a process has open has a link in /proc, which need not lead to a name of it."""
    return not path.exists() or (path.is_file() and path.samefile(os.path.realpath(path)))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".harness-{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            if path.exists():
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def find(name: str, output: Path) -> Path:
    """A run's directory, by path, by the name of a run under `output`, or `latest`. Raises `UsageError`."""
    if name == "latest":
        runs = sorted(_runs_in(output), key=lambda run: (run / journal.FILE_NAME).stat().st_mtime)
        if not runs:
            raise UsageError(f"There is no run under {output}. Make one with `harness run`.")
        return runs[-1]
    for candidate in (Path(name), output / name):
        if (candidate / journal.FILE_NAME).is_file() or (candidate / RECORD_FILE).is_file():
            return candidate
    raise UsageError(f"There is no run {name!r}, neither as a path nor under {output}. `harness list` shows the runs.")


def load_record(directory: Path) -> RunRecord:
    """The record of a run; from its journal where there is no other, since it is large or did not come to its end."""
    path = directory / RECORD_FILE
    if not path.is_file():
        return journal.read(directory / journal.FILE_NAME)
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise journal.refused(str(path), error) from None


def state(directory: Path) -> Literal["complete", "partial"]:
    """Says whether a run came to its end, by its journal; by its record where a full disk left none of that."""
    try:
        return journal.state(directory / journal.FILE_NAME)
    except UsageError:
        if not (directory / RECORD_FILE).is_file():
            raise
        return load_record(directory).state


def all_runs(output: Path) -> list[Path]:
    """Every run under `output`, by name."""
    return sorted(_runs_in(output))


def _runs_in(output: Path) -> Iterator[Path]:
    return (path.parent for path in output.glob(f"*/{journal.FILE_NAME}"))
