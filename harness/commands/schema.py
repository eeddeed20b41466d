"""`harness schema`: what a scenario file may hold."""

import json

import click

from harness.measuring import scenario_files


def schema() -> None:
    click.echo(json.dumps(scenario_files.json_schema(), indent=2))
