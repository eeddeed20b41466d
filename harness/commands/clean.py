"""`harness clean`: what runs have left behind."""

import asyncio

import click

from harness.measuring.servers.addresses import is_url
from harness.measuring.servers.provisioners import clean_up
from harness.measuring.servers.provisioners.protocol import DatabaseSettings


def clean(database: str | None) -> None:
    settings = DatabaseSettings(url=database if database and is_url(database) else None)
    for removed in asyncio.run(clean_up(settings)):
        click.echo(f"Removed {removed}.")
