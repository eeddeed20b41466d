"""Whether two runs may be compared: what differs of host, server, corpus and scenario, and may explain a difference.

Software is not among it: two versions of it are what two runs are often made for.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from harness.record import RunRecord

NOT_COMPARED: Final = frozenset(
    {
        *("name", "title", "description", "expectations", "budgets", "references"),
        # What is compared, and how often; the server that came of the wish for a database is compared itself.
        *("strategies", "baseline", "candidate", "control", "rounds", "database"),
    }
)
"""Keys of a scenario."""


def unlike(one: RunRecord, other: RunRecord) -> tuple[str, ...]:
    """A phrase on each thing that differs."""
    found = [dict(_leaves("", _circumstances(record))) for record in (one, other)]
    keys = dict.fromkeys((*found[0], *found[1]))
    pairs = ((key, *(each.get(key, "absent") for each in found)) for key in keys)
    return tuple(
        f"{key} is {before} in one and {after} in the other" for key, before, after in pairs if before != after
    )


def _circumstances(record: RunRecord) -> Mapping[str, object]:
    return {
        "host": record.environment.host,
        "server": record.environment.server,
        "corpus": record.corpus,
        "scenario": {key: value for key, value in record.scenario.items() if key not in NOT_COMPARED},
    }


def _leaves(name: str, value: object) -> Iterable[tuple[str, str]]:
    match value:
        case Mapping():
            for key, inner in cast("Mapping[str, object]", value).items():
                yield from _leaves(f"{name}.{key}".removeprefix("."), inner)
        case list() | tuple():
            for number, inner in enumerate(cast("Sequence[object]", value), 1):
                yield from _leaves(f"{name}.{number}", inner)
        case _:
            yield name, str(value)
