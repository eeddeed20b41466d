"""Says what a run shows by itself as a step of GitHub Actions: annotations, and the report in the summary."""

import os
from pathlib import Path
from typing import Final

import click

from harness.showing.markup import shortened
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.report import AnyReport

ANNOTATIONS, SUMMARY = "github", "markdown"
"""The formats."""

SUMMARY_BYTES_MAX: Final = 2**20
"""Of one step; GitHub shows nothing of a summary that is longer."""


def announce(report: AnyReport, *, on_error: bool = False) -> None:
    """Under GitHub Actions only, which reads both streams; `on_error` where the other is for a program.

    A summary that cannot be written is reported, and changes no verdict.
    """
    if _here():
        annotations, summary = (rendered(report, RENDERERS[form]) for form in (ANNOTATIONS, SUMMARY))
        click.echo(annotations, nl=False, err=on_error)
        if path := os.environ.get("GITHUB_STEP_SUMMARY"):
            _append(Path(path), summary)


def _here() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _append(path: Path, text: str) -> None:
    try:
        with path.open("ab") as file:
            left = SUMMARY_BYTES_MAX - file.tell()
            file.write(shortened(text, left, "The report of the run has all of it.").encode())
    except OSError as error:
        click.echo(f"harness: {path}: the job's summary could not be written ({error.strerror}).", err=True)
