"""`harness schema`: what a scenario file may hold, and what is in the files that runs leave for other programs."""

import json
from typing import Any

import click


def schema(kind: str) -> None:
    click.echo(json.dumps(schema_of(kind), indent=2))


def schema_of(kind: str) -> dict[str, Any]:
    """Imports what the kind is made of alone: a scenario needs every target, and a record none of them."""
    match kind:
        case "scenario":
            from harness.measuring import scenario_files  # noqa: PLC0415 -- see above

            return scenario_files.json_schema()
        case "run" | "profile":
            from harness.record import ProfileRecord, RunRecord  # noqa: PLC0415 -- see above

            return (RunRecord if kind == "run" else ProfileRecord).model_json_schema()
        case "verdict" | "comparison":
            from harness.showing.renderers.json import COMPARISON_REPORT, REPORT  # noqa: PLC0415 -- see above

            return (REPORT if kind == "verdict" else COMPARISON_REPORT).json_schema(mode="serialization")
        case _:
            from harness.commands._shared.events import EVENTS  # noqa: PLC0415 -- see above

            return EVENTS.json_schema(mode="serialization")
