"""`harness clean`: what runs have left behind, and what gates keep."""

import asyncio

import click

from harness.measuring import kept
from harness.measuring.servers.addresses import is_url
from harness.measuring.servers.provisioners import clean_up
from harness.measuring.servers.provisioners.protocol import DatabaseSettings


def clean(database: str | None) -> None:
    settings = DatabaseSettings(url=database if database and is_url(database) else None)
    for removed in asyncio.run(clean_up(settings)):
        click.echo(f"Removed {removed}.")
    place = kept.directory()
    kept_bytes = kept.remove(place)
    if kept_bytes is not None:
        click.echo(f"Removed what gates had kept in {place} ({kept_bytes >> 20} MB).")
