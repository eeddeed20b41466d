"""The command line: `anima migrate`."""

import asyncio
import sys
from typing import NoReturn

import click

from anima import migrations
from anima.errors import AnimaError, InvalidInput
from anima.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="anima-harness", prog_name="anima")
@click.pass_context
def anima(context: click.Context, *, debug: bool) -> None:
    """The Anima memory system on PostgreSQL and pgvector."""
    context.obj = debug


@anima.command()
@click.option("--to", type=int, metavar="N", help="Stop at this migration; the newest is the default.")
@click.option("--status", is_flag=True, help="List the migrations and whether the database has them; change nothing.")
@click.option("--database-url", metavar="URL", help="Instead of ANIMA_DATABASE_URL.")
def migrate(*, to: int | None, status: bool, database_url: str | None) -> None:
    """Brings the database's schema up to date. Two at once are safe."""
    url = database_url or Settings.from_environment().database_url
    if url is None:
        raise InvalidInput("No database is named: set ANIMA_DATABASE_URL, or give --database-url.")
    if status:
        for entry in asyncio.run(migrations.status(url)):
            click.echo(f"{'applied' if entry.applied else 'pending'}  {entry.migration.name}")
        return
    applied = asyncio.run(migrations.migrate(url, to=to))
    for migration in applied:
        click.echo(f"applied  {migration.name}")
    if not applied:
        click.echo("Nothing to do: the schema is up to date.")


def main() -> NoReturn:
    """Exits with 0, 1 where the work failed, 2 for wrong usage; a traceback only with --debug."""
    try:
        sys.exit(anima(standalone_mode=False))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except AnimaError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"anima: {error}", err=True)
        sys.exit(2 if isinstance(error, InvalidInput) else 1)


if __name__ == "__main__":
    main()
