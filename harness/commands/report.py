"""`harness report`: a stored run or comparison, rendered and judged again."""

from pathlib import Path

import click

from harness import runs
from harness.commands._shared import report_files
from harness.commands._shared.options import ALL_TABLES, OUTPUT
from harness.commands._shared.outputs import echo_file
from harness.commands._shared.report_files import show
from harness.errors import ExitCode
from harness.showing.exports import EXPORTS
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.report import report_of


@click.command()
@click.argument("name", metavar="[RUN]", default="latest")
@click.option("--format", "form", type=click.Choice([*RENDERERS, *EXPORTS]), default="terminal", show_default=True)
@OUTPUT
@ALL_TABLES
def report(name: str, form: str, output: Path, *, everything: bool) -> ExitCode:
    """Renders a stored run or comparison again, and judges it: by path, by name, or `latest`.

    csv, parquet, png and svg are written into the run's directory; the other formats are printed.
    """
    directory = runs.find(name, output)
    found = report_of(runs.load(directory))
    if form == "terminal":
        show(found, directory, everything=everything)
    elif form in EXPORTS:
        for path in report_files.export(directory, found, form):
            click.echo(path)
    else:
        echo_file(rendered(found, RENDERERS[form]), nl=False)
    return found.exit_code
