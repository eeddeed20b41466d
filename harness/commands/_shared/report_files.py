"""Says what is written of a run beside its record: reports, and files for other programs."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click

from harness.errors import HarnessError, UsageError, missing_extra
from harness.failures import failures_of
from harness.journal import FILE_NAME, LOG_FILE
from harness.quantities import count
from harness.runs import REQUESTS_WRITTEN_MAX, is_written, replace_file, write_record
from harness.showing.exports import EXPORTS
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.renderers.terminal import TerminalRenderer
from harness.showing.report import AnyReport, CapacityReport, ComparisonReport, Report

EXPORT_DIRECTORY: Final = "export"
PAGE: Final = "report.html"
REPORT_FORMATS: Final[Mapping[str, str]] = {"markdown": "report.md", "html": PAGE, "json": "report.json"}
COMPARISON_FORMATS: Final[Mapping[str, str]] = {"markdown": "comparison.md", "html": PAGE, "json": "comparison.json"}
CAPACITY_FORMATS: Final[Mapping[str, str]] = {"markdown": "capacity.md", "html": PAGE, "json": "capacity.json"}
FORMATS: Final[Mapping[type[AnyReport], Mapping[str, str]]] = {
    Report: REPORT_FORMATS,
    ComparisonReport: COMPARISON_FORMATS,
    CapacityReport: CAPACITY_FORMATS,
}


def write(directory: Path, report: AnyReport, asked: Iterable[tuple[str, Path]] = ()) -> list[HarnessError]:
    """Writes the record, its reports and those that are asked for, each though another fails; returns what failed."""

    def render(form: str, path: Path) -> None:
        replace_file(path, rendered(report, RENDERERS[form]))

    def render_own(form: str, path: Path) -> None:
        try:
            render(form, path)
        except ModuleNotFoundError as error:
            if (missing := missing_extra(error)) is None:
                raise
            path.unlink(missing_ok=True)
            again = f"harness report {shlex.quote(str(directory))} --format html > page.html"
            click.echo(f"note: there is no {path.name}. {missing} Then: {again}", err=True)

    if not is_written(report.record):
        click.echo(
            f"note: {FILE_NAME} alone holds the requests, since a record.json of more than "
            f"{count(REQUESTS_WRITTEN_MAX)} would take gigabytes. As a table: "
            f"harness report {shlex.quote(str(directory))} --format parquet",
            err=True,
        )
    own = [(form, directory / file) for form, file in FORMATS[type(report)].items()]
    steps = [
        partial(write_record, directory, report.record),
        *(partial(render, *each) for each in asked),
        *(partial(render_own, *each) for each in own),
    ]
    return failures_of(steps, directory / LOG_FILE)


def asked_report(text: str) -> tuple[str, Path]:
    """A format and a path from `junit=out.xml`. Raises `UsageError`."""
    form, equals, path = text.partition("=")
    if form not in RENDERERS or not equals or not path:
        raise UsageError(f"--report {text}: expected FORMAT=PATH. The formats are {', '.join(RENDERERS)}.")
    if Path(path).is_dir():
        raise UsageError(f"--report {text}: {path} is a directory. Name a file in it.")
    return form, Path(path)


def export(directory: Path, report: AnyReport, form: str) -> Sequence[Path]:
    """Writes the files of an export beside the record. Raises `HarnessError`."""
    destination = directory / EXPORT_DIRECTORY
    try:
        destination.mkdir(exist_ok=True)
        return EXPORTS[form].write(report, destination)
    except OSError as error:
        raise HarnessError(f"{destination} could not be written ({error.strerror}). Free some space.") from error


def show_report(report: AnyReport, directory: Path, *, everything: bool) -> None:
    """The verdict and the tables, and where the rest lies."""
    click.echo(rendered(report, TerminalRenderer(everything=everything)), nl=False)
    if not everything:
        click.echo(f"All tables: harness report {shlex.quote(str(directory))} --all")
    click.echo(f"Report: {best(directory)}")


def show_verdict(report: AnyReport, directory: Path) -> None:
    """No tables: the verdict, what does not hold, and where the rest lies."""
    click.echo(TerminalRenderer().render_verdict(report), nl=False)
    click.echo(f"Report: {best(directory)}")


def best(directory: Path) -> Path:
    """The page, or what is read in its place where there is none."""
    names = (PAGE, *(name for formats in FORMATS.values() for name in formats.values()))
    return next((directory / name for name in names if (directory / name).exists()), directory)
