"""Says whether two runs may be compared: what differs of host, server, corpus and scenario, and may explain it.

Software is not among it, nor are somebody's own statements and service: two versions of them are what two runs are
often made for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.differences import differences
from harness.record import RunRecord

NOT_COMPARED: Final = frozenset(
    {
        *("name", "title", "description", "expectations", "budgets", "references"),
        # What is compared, and how often; the server that was asked for is compared itself.
        *("strategies", "variants", "baseline", "candidate", "control", "rounds", "sampling", "database"),
        # What is measured.
        *("queries", "service"),
    }
)
"""Keys of a scenario."""

MEASURED_OF_OPERATION: Final = "sql"
"""The key of an operation that says how it is done; the others say with what."""

WITHOUT_SLICES: Final = ("slices", 1)
"""Says nothing: records that are older than the key have none."""


def unlike(one: RunRecord, other: RunRecord) -> tuple[str, ...]:
    """A phrase on each thing that differs."""
    found = differences(circumstances(one), circumstances(other))
    return tuple(f"{place} is {before} in one and {after} in the other" for place, before, after in found)


def circumstances(record: RunRecord) -> Mapping[str, object]:
    """Says what has to be equal before the figures of two runs stand side by side."""
    return {
        "host": record.environment.host,
        "server": record.environment.server,
        "corpus": record.corpus,
        "scenario": {
            key: _asked(value) if key == "operations" else value
            for key, value in record.scenario.items()
            if key not in NOT_COMPARED and (key, value) != WITHOUT_SLICES
        },
    }


def _asked(operations: Mapping[str, Mapping[str, Any]] | Sequence[str]) -> object:
    """Of the operations that a scenario states itself; those of the memory system are names alone."""
    if not isinstance(operations, Mapping):
        return operations
    return {
        name: {key: value for key, value in operation.items() if key != MEASURED_OF_OPERATION}
        for name, operation in operations.items()
    }
