"""What a plan of PostgreSQL, as EXPLAIN (FORMAT JSON) writes it, says about how tables are reached."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

EXPLAIN: Final = "EXPLAIN (FORMAT JSON) "
"""Goes before a statement, which then is planned with the values that it is given, and not executed."""


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """The indexes that a statement uses, and the tables of which it reads every row, each by name and once."""

    statement: str
    indexes: tuple[str, ...]
    scans: tuple[str, ...]


def read_plan(statement: str, explained: str) -> StatementPlan:
    nodes = list(_nodes(json.loads(explained)[0]["Plan"]))
    return StatementPlan(
        statement,
        tuple(sorted({node["Index Name"] for node in nodes if "Index Name" in node})),
        tuple(sorted({node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"})),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
