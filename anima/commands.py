"""Tells what the commands of `anima` do: `__main__` says how they are asked, and imports this when one of them is."""

import asyncio
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import click

from anima.embedded import default_directory, embedded_postgres
from anima.errors import DatabaseUnfit, InvalidInput
from anima.settings import Settings


def migrate(*, to: int | None, status: bool, tenant: tuple[str, ...], database_url: str | None) -> None:
    url = database_url or Settings.from_environment().database_url
    if url is None:
        raise InvalidInput("No database is named: set ANIMA_DATABASE_URL, or give --database-url.")
    if not tenant:
        migrate_one(url, to=to, status=status)
        return
    from anima import tenants  # noqa: PLC0415 -- its packages are those of an extra

    for name in tenant:
        say(f"tenant {name}")
        if not status:
            asyncio.run(tenants.make_schema(url, name))
        migrate_one(tenants.url_of(url, name), to=to, status=status)


def migrate_one(url: str, *, to: int | None, status: bool) -> None:
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


def serve(*, migrating: bool, **options: object) -> None:
    # What it takes to serve takes long to load, and no other command needs it.
    from anima.http import server  # noqa: PLC0415 -- see above
    from anima.http.api_keys import tenants_of  # noqa: PLC0415 -- see above
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
        urls = asyncio.run(
            prepare_schemas(
                url,
                tenants_of(service.guards.digests),
                service.strategy.schema_version,
                migrating=migrating or is_own,
            )
        )
        choice = asyncio.run(chosen(service.embeddings, urls[0], is_named=settings.is_provider_named))
        if choice.remark:
            click.echo(choice.remark, err=True)
        embeddings = service.embeddings.model_copy(update={"provider": choice.provider})
        server.serve(replace(service, embeddings=embeddings))


def new_key(name: str, tenant: str | None) -> None:
    from anima.http.api_keys import new_key as make  # noqa: PLC0415 -- as in `serve`

    made = make(name, tenant)
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


async def prepare_schemas(url: str, tenants: Sequence[str], version: int, *, migrating: bool) -> list[str]:
    """The URL of each tenant's schema, or of the one that there is without tenants. Raises `DatabaseUnfit`."""
    from anima.tenants import make_schema, refuse_common_tables, url_of  # noqa: PLC0415 -- as in `migrate`

    if not tenants:
        await prepare_schema(url, version, migrating=migrating)
        return [url]
    for tenant in tenants:
        await (make_schema(url, tenant) if migrating else refuse_common_tables(url))
        await prepare_schema(url_of(url, tenant), version, migrating=migrating, tenant=tenant)
    return [url_of(url, tenant) for tenant in tenants]


async def prepare_schema(url: str, version: int, *, migrating: bool, tenant: str | None = None) -> None:
    """Raises `DatabaseUnfit`, also where the schema is behind the version and may not be changed."""
    from anima import migrations  # noqa: PLC0415 -- as in `migrate`
    from anima.rights import refuse_missing_rights  # noqa: PLC0415 -- as in `migrate`

    needed = [entry for entry in await migrations.status(url) if entry.migration.version <= version]
    pending = [entry.migration.name for entry in needed if not entry.applied]
    if pending and not migrating:
        whose = "The database" if tenant is None else f"The schema of the tenant {tenant}"
        option = "" if tenant is None else f" --tenant {tenant}"
        raise DatabaseUnfit(
            f"{whose} lacks {', '.join(pending)}. Run `anima migrate{option}`, or start with `anima serve --migrate`."
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
