"""Options that several commands have, with one meaning."""

from pathlib import Path
from typing import Final

import click

from harness.errors import UsageError
from harness.measuring.servers.addresses import is_url, refuse_password


def without_password(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
    """Returns what was given, unless it is a URL with a password: other users of the machine see a command line."""
    if given is not None and is_url(given):
        try:
            refuse_password(given)
        except ValueError as error:
            reason = str(error).removesuffix(".")
            raise UsageError(f"On the command line, {reason[:1].lower()}{reason[1:]}.") from None
    return given


OUTPUT: Final = click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where runs are kept.",
)

DATABASE: Final = click.option(
    "--database",
    metavar="PROVISIONER|URL",
    callback=without_password,
    help="Where PostgreSQL comes from: embedded, testcontainers, a server's URL, or auto for the scenario's choice.",
)

SAMPLE_FOR: Final = click.option(
    "--sample-for",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long further rounds may go on while the verdict is undecided.",
)

SETTINGS: Final = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change a key, such as corpus.size=500."
)

ALL_TABLES: Final = click.option(
    "--all", "everything", is_flag=True, help="Show all tables and columns in the terminal."
)

HISTORY: Final = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("history.jsonl"),
    show_default=True,
    help="The history: one line per run.",
)

WAIVERS: Final = click.option(
    "--waivers",
    "waivers_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where accepted regressions stand; waivers.toml of the current directory, where there is one.",
)

SELECTION: Final = click.argument("selection", metavar="[VARIANT.OPERATION.METRIC]", required=False)
