"""The command line: `anima serve`, `anima migrate` and `anima new-key`."""

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from anima.addresses import address_of
from anima.embedded import default_directory, embedded_postgres
from anima.errors import AnimaError, DatabaseUnavailable, DatabaseUnfit, InvalidInput, extra
from anima.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="anima-harness", prog_name="anima")
@click.pass_context
def anima(context: click.Context, *, debug: bool) -> None:
    """The Anima memory system on PostgreSQL and pgvector."""
    context.obj = debug


def warn_of_password(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """The URL as it is, with a warning for one that should not stand there. Raises `InvalidInput`."""
    del context, parameter
    if url and address_of(url).has_password:
        click.echo(
            "The password in --database-url can be read by others on this machine. Set ANIMA_DATABASE_URL instead, or "
            "leave it to PGPASSWORD or ~/.pgpass.",
            err=True,
        )
    return url


database_url_option = click.option(
    "--database-url", metavar="URL", callback=warn_of_password, help="Instead of ANIMA_DATABASE_URL."
)


@anima.command()
@click.option("--to", type=int, metavar="N", help="Stop at this migration; the newest is the default.")
@click.option("--status", is_flag=True, help="List the migrations and whether the database has them; change nothing.")
@database_url_option
def migrate(*, to: int | None, status: bool, database_url: str | None) -> None:
    """Brings the database's schema up to date. Two at once are safe."""
    url = database_url or Settings.from_environment().database_url
    if url is None:
        raise InvalidInput("No database is named: set ANIMA_DATABASE_URL, or give --database-url.")
    from anima import migrations  # noqa: PLC0415 -- its packages are those of an extra

    if status:
        for entry in asyncio.run(migrations.status(url)):
            say(f"{'applied' if entry.applied else 'pending'}  {entry.migration.name}")
        return
    applied = asyncio.run(migrations.migrate(url, to=to))
    for migration in applied:
        say(f"applied  {migration.name}")
    mended = asyncio.run(migrations.mend_indexes(url))
    for index in mended:
        say(f"made again  {index}")
    if not applied and not mended:
        say("Nothing to do: the schema is up to date.")


@anima.command()
@click.option("--host", metavar="ADDRESS", help="Listen here; 127.0.0.1 is the default, so that only this machine can.")
@click.option("--port", type=click.IntRange(0, 65535), help="7100 is the default; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Server processes that share the port.")
@click.option("--strategy", metavar="NAME", help="How requests are served: frontier (the default), batched, naive ...")
@database_url_option
@click.option("--data-directory", type=click.Path(path_type=Path), help="Where the embedded PostgreSQL keeps its data.")
@click.option("--trace-log", type=click.Path(path_type=Path), metavar="PATH", help="Log operations, to replay them.")
@click.option("--trace-contents", is_flag=True, default=None, help="Log texts as they are; else they are hashed.")
@click.option("--without-keys", is_flag=True, default=None, help="Serve other machines, and ask nobody for a key.")
@click.option("--migrate", "migrating", is_flag=True, help="Bring the schema up to date first, where it is behind.")
def serve(*, migrating: bool, **options: object) -> None:
    """Serves the memory system over HTTP until it is told to stop.

    Without a database URL it runs a PostgreSQL of its own. docs/how-to/serve.md lists the settings of the environment.
    """
    # What it takes to serve takes long to load, and no other command needs it.
    from anima.http import server  # noqa: PLC0415 -- see above
    from anima.provider_choice import chosen  # noqa: PLC0415 -- see above
    from anima.strategy_choice import chosen_strategy  # noqa: PLC0415 -- see above

    given = {name: option for name, option in options.items() if option is not None}
    settings = Settings.from_environment().model_copy(update=given)
    server.end_on_signals()
    with database_of(settings) as (url, is_own):
        served = asyncio.run(chosen_strategy(settings.strategy, url, is_named=settings.is_strategy_named))
        if served.remark:
            click.echo(served.remark, err=True)
        service = server.options_from(settings, served.strategy, url)
        asyncio.run(prepare_schema(url, service.strategy.schema_version, migrating=migrating or is_own))
        choice = asyncio.run(chosen(service.embeddings, url, is_named=settings.is_provider_named))
        if choice.remark:
            click.echo(choice.remark, err=True)
        embeddings = service.embeddings.model_copy(update={"provider": choice.provider})
        server.serve(replace(service, embeddings=embeddings))


@anima.command("new-key")
@click.argument("name")
def new_key(name: str) -> None:
    """Makes an API key for NAME. The service is given its hash; the key itself is shown here and kept nowhere."""
    from anima.http.api_keys import new_key as make  # noqa: PLC0415 -- as in `serve`

    made = make(name)
    click.echo(f"{name} sends the header:  Authorization: Bearer {made.key}")
    click.echo(f"Add to ANIMA_API_KEYS, after a comma if there is one already:  {made.entry}")


@contextmanager
def database_of(settings: Settings) -> Generator[tuple[str, bool]]:
    """The URL of the database that is named, or of an embedded server; and whether it is that."""
    if settings.database_url is not None:
        yield settings.database_url, False
        return
    directory = settings.data_directory or default_directory(settings.xdg_data_home)
    say(f"No ANIMA_DATABASE_URL is set: an embedded PostgreSQL keeps its data in {directory}.", err=True)
    with embedded_postgres(directory) as url:
        yield url, True


async def prepare_schema(url: str, version: int, *, migrating: bool) -> None:
    """Raises `DatabaseUnfit`, also where the schema is behind the version and may not be changed."""
    from anima import migrations  # noqa: PLC0415 -- as in `migrate`
    from anima.rights import refuse_missing_rights  # noqa: PLC0415 -- as in `migrate`

    needed = [entry for entry in await migrations.status(url) if entry.migration.version <= version]
    pending = [entry.migration.name for entry in needed if not entry.applied]
    if pending and not migrating:
        raise DatabaseUnfit(
            f"The database lacks {', '.join(pending)}. Run `anima migrate`, or start with `anima serve --migrate`."
        )
    if pending:
        await migrations.migrate(url, to=version)
    await refuse_missing_rights(url)
    if migrating:
        await migrations.mend_indexes(url)
    elif unusable := await migrations.unusable_indexes(url):
        say(
            f"Of the database's indexes {', '.join(unusable)} cannot be used: answers are right, and slow. "
            "Run `anima migrate`, which makes them again beside readers and writers.",
            err=True,
        )


def say(text: str, *, err: bool = False) -> None:
    """Work that is done has not failed because nobody reads of it: a reader who left, or a full device."""
    try:
        click.echo(text, err=err)
    except OSError:
        # What is left in the buffer goes nowhere, else the end of the process fails on it again.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())


def main() -> NoReturn:
    """Exits with 0, 1 where the work failed, 2 for wrong usage or a database that cannot be used.

    A traceback only with --debug.
    """
    output: Any = sys.stdout
    if hasattr(output, "reconfigure"):
        output.reconfigure(errors="backslashreplace")  # As standard error: a poor encoding fails nothing.
    try:
        sys.exit(anima(standalone_mode=False))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"anima: {told(error)}", err=True)
        sys.exit(2 if isinstance(error, (InvalidInput, DatabaseUnavailable, DatabaseUnfit, ModuleNotFoundError)) else 1)


def told(error: Exception) -> str:
    """A sentence or two. What nobody expected is not quoted: it may hold a password."""
    match error:
        case AnimaError():
            return str(error)
        case ModuleNotFoundError(name=str(module)) if not module.startswith("anima"):
            return f"This needs {module}, which is not installed: {extra('serve')}."
        case OSError(strerror=str(reason)):
            return f"{reason}{f': {error.filename}' if error.filename else ''}. `anima --debug` shows where."
        case _:
            return f"An unexpected {type(error).__name__}: please report it, with what `anima --debug` shows."


if __name__ == "__main__":
    main()
