"""`harness schema`: what a scenario file may hold."""

import json

import click

from harness.measuring import scenario_files


@click.command()
def schema() -> None:
    """Prints the JSON schema of a scenario file, for editors."""
    click.echo(json.dumps(scenario_files.json_schema(), indent=2))
