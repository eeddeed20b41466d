"""`harness report`: a stored run or comparison, rendered and judged again."""

from pathlib import Path

import click

from harness import runs
from harness.commands._shared import report_files, waiver_files
from harness.commands._shared.outputs import echo_file
from harness.commands._shared.report_files import show_report
from harness.errors import ExitCode
from harness.showing.exports import EXPORTS
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.report import report_of


def report(name: str, form: str, output: Path, *, waivers_file: Path | None, everything: bool) -> ExitCode:
    directory = runs.find(name, output)
    record = runs.load_record(directory)
    found = report_of(record, waiver_files.for_record(record, waivers_file))
    if form == "terminal":
        show_report(found, directory, everything=everything)
    elif form in EXPORTS:
        for path in report_files.export(directory, found, form):
            click.echo(path)
    else:
        echo_file(rendered(found, RENDERERS[form]), nl=False)
    return found.exit_code
