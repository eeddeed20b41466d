"""In what two settings differ, however deep."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

ABSENT = "absent"


def differences(one: object, other: object) -> Iterator[tuple[str, str, str]]:
    """The place of each value that differs, such as `host.cpus`, and both values as text."""
    found = [dict(_leaves("", each)) for each in (one, other)]
    for place in dict.fromkeys((*found[0], *found[1])):
        before, after = (each.get(place, ABSENT) for each in found)
        if before != after:
            yield place, before, after


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping():
            for key, inner in cast("Mapping[str, object]", value).items():
                yield from _leaves(f"{name}.{key}".removeprefix("."), inner)
        case list() | tuple():
            for number, inner in enumerate(cast("Sequence[object]", value), 1):
                yield from _leaves(f"{name}.{number}", inner)
        case _:
            yield name, str(value)
