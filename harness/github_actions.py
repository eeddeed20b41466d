"""What a run shows by itself as a step of GitHub Actions: annotations, and the report in the summary of the job."""

import os
from pathlib import Path
from typing import Final

import click

from harness.record import RunRecord
from harness.renderers import RENDERERS
from harness.renderers.markup import shortened
from harness.summary import summarise
from harness.verdict import judge

SUMMARY_BYTES_MAX: Final = 2**20
"""Of one step; GitHub shows nothing of a summary that is longer."""


def announce(record: RunRecord) -> None:
    """Does nothing elsewhere. A summary that cannot be written is told, and changes nothing about the verdict."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    summary, verdict = summarise(record), judge(record)
    click.echo(RENDERERS["github"].render(record, summary, verdict), nl=False)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(path), RENDERERS["markdown"].render(record, summary, verdict))


def _append(path: Path, text: str) -> None:
    try:
        with path.open("ab") as file:
            left = SUMMARY_BYTES_MAX - file.tell()
            file.write(shortened(text, left, "The report of the run has all of it.").encode())
    except OSError as error:
        click.echo(f"harness: {path}: the job's summary could not be written ({error.strerror}).", err=True)
