"""Whether two runs may be compared: what differs of host, server, corpus and scenario, and may explain a difference.

Software is not among it: two versions of it are what two runs are often made for.
"""

from collections.abc import Mapping
from typing import Final

from harness.differences import differences
from harness.record import RunRecord

NOT_COMPARED: Final = frozenset(
    {
        *("name", "title", "description", "expectations", "budgets", "references"),
        # What is compared, and how often; the server that was asked for is compared itself.
        *("strategies", "variants", "baseline", "candidate", "control", "rounds", "sampling", "database"),
    }
)
"""Keys of a scenario."""

WITHOUT_SLICES: Final = ("slices", 1)
"""Says nothing: records that are older than the key have none."""


def unlike(one: RunRecord, other: RunRecord) -> tuple[str, ...]:
    """A phrase on each thing that differs."""
    found = differences(circumstances(one), circumstances(other))
    return tuple(f"{place} is {before} in one and {after} in the other" for place, before, after in found)


def circumstances(record: RunRecord) -> Mapping[str, object]:
    """What has to be equal before the figures of two runs stand side by side."""
    return {
        "host": record.environment.host,
        "server": record.environment.server,
        "corpus": record.corpus,
        "scenario": {
            key: value
            for key, value in record.scenario.items()
            if key not in NOT_COMPARED and (key, value) != WITHOUT_SLICES
        },
    }
