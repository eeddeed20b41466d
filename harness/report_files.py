"""What is written of a run beside its record: reports, and files for other programs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.errors import HarnessError, UsageError
from harness.exports import EXPORTS
from harness.record import RunRecord
from harness.renderers import RENDERERS, rendered
from harness.runs import replace_file, write_record

EXPORT_DIRECTORY: Final = "export"
PAGE: Final = "report.html"
REPORT_FORMATS: Final[Mapping[str, str]] = {"markdown": "report.md", "html": PAGE, "json": "report.json"}
COMPARISON_FORMATS: Final[Mapping[str, str]] = {"markdown": "comparison.md", "html": PAGE, "json": "comparison.json"}


def write(directory: Path, record: RunRecord) -> Mapping[str, Path]:
    """Writes the record and its reports; returns the files of the reports by format."""
    write_record(directory, record)
    formats = COMPARISON_FORMATS if record.comparison else REPORT_FORMATS
    paths = {name: directory / file for name, file in formats.items()}
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
    for form, path in wishes:
        replace_file(path, rendered(record, RENDERERS[form]))


def export(directory: Path, record: RunRecord, form: str) -> Sequence[Path]:
    """Writes the files of an export beside the record. Raises `HarnessError`."""
    destination = directory / EXPORT_DIRECTORY
    try:
        destination.mkdir(exist_ok=True)
        return EXPORTS[form].write(record, destination)
    except OSError as error:
        raise HarnessError(f"{destination} could not be written ({error.strerror}). Free some space.") from error
