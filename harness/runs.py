"""Where runs are kept: a directory each, with the journal, the record made from it, and the reports."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from harness import journal
from harness.errors import HarnessError, UsageError
from harness.exports import EXPORTS
from harness.record import RunRecord
from harness.renderers import RENDERERS
from harness.summary import summarise
from harness.verdict import judge

RECORD_FILE: Final = "record.json"
EXPORT_DIRECTORY: Final = "export"
REPORT_FORMATS: Final[Mapping[str, str]] = {"markdown": "report.md", "html": "report.html", "json": "report.json"}


def new_id(scenario_name: str, at: datetime) -> str:
    """Sorts by time, and two runs that start in one second differ."""
    return f"{scenario_name}-{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def write_record(directory: Path, record: RunRecord) -> None:
    """Raises `HarnessError`."""
    replace_file(directory / RECORD_FILE, record.model_dump_json(indent=1, exclude_defaults=True))


def write(directory: Path, record: RunRecord) -> Mapping[str, Path]:
    """Writes the record and its reports; returns the files of the reports by format."""
    write_record(directory, record)
    paths = {name: directory / file for name, file in REPORT_FORMATS.items()}
    write_reports(record, paths.items())
    return paths


def report_wish(text: str) -> tuple[str, Path]:
    """A format and a path from `junit=out.xml`. Raises `UsageError`."""
    form, equals, path = text.partition("=")
    if form not in RENDERERS or not equals or not path:
        raise UsageError(f"--report {text}: expected FORMAT=PATH. The formats are {', '.join(RENDERERS)}.")
    if Path(path).is_dir():
        raise UsageError(f"--report {text}: {path} is a directory. Name a file in it.")
    return form, Path(path)


def write_reports(record: RunRecord, wishes: Iterable[tuple[str, Path]]) -> None:
    """Writes each format to its path, whose directory is made where it is missing. Raises `HarnessError`."""
    summary, verdict = summarise(record), judge(record)
    for form, path in wishes:
        replace_file(path, RENDERERS[form].render(record, summary, verdict))


def export(directory: Path, record: RunRecord, form: str) -> Sequence[Path]:
    """Writes the files of an export beside the record. Raises `HarnessError`."""
    destination = directory / EXPORT_DIRECTORY
    try:
        destination.mkdir(exist_ok=True)
        return EXPORTS[form].write(record, destination)
    except OSError as error:
        raise HarnessError(f"{destination} could not be written ({error.strerror}). Free some space.") from error


def replace_file(path: Path, text: str) -> None:
    """Whole or not at all: a temporary file, fsync, rename. Raises `HarnessError`."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise HarnessError(
            f"{path} could not be written ({error.strerror}). The run's journal is whole: free some space or "
            "correct the path, then run `harness report`."
        ) from error


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


def load(directory: Path) -> RunRecord:
    """The record of a run; from its journal where the run did not come to write one."""
    path = directory / RECORD_FILE
    if not path.is_file():
        return journal.read(directory / journal.FILE_NAME)
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise journal.refused(str(path), error) from None


def all_runs(output: Path) -> list[Path]:
    """Every run under `output`, by name."""
    return sorted(_runs_in(output))


def _runs_in(output: Path) -> Iterator[Path]:
    return (path.parent for path in output.glob(f"*/{journal.FILE_NAME}"))
