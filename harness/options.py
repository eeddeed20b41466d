"""Options that several commands have, with one meaning."""

from pathlib import Path
from typing import Final

import click

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
    help="Where PostgreSQL comes from: embedded, testcontainers, a server's URL, or auto for the scenario's choice.",
)

SETTINGS: Final = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change a key, such as corpus.size=500."
)
