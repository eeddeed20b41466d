"""Says whether an answer is what was expected: its status, and what its JSON holds at least."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

SHOWN: Final = 80
"""Characters of a value in a sentence."""

NOTHING: Final = object()


def differences(expected: object, answered: object, place: str) -> Iterator[str]:
    """A clause on each part that is missing or other. Fields that nobody expects are no difference; items are."""
    match expected, answered:
        case Mapping(), Mapping():
            fields = cast("Mapping[str, Any]", answered)
            for name, value in cast("Mapping[str, Any]", expected).items():
                yield from differences(value, fields.get(name, NOTHING), f"{place}.{name}")
        case ((list() | tuple()), list()):
            wanted, found = cast("Sequence[object]", expected), cast("Sequence[object]", answered)
            if len(wanted) != len(found):
                yield f"{place} has {len(found)} items instead of {len(wanted)}"
            for number, (one, other) in enumerate(zip(wanted, found, strict=False)):
                yield from differences(one, other, f"{place}.{number}")
        case _:
            if answered is NOTHING:
                yield f"{place} is missing"
            elif not same(expected, answered):
                yield f"{place} is {shown(answered)} instead of {shown(expected)}"


def same(expected: object, answered: object) -> bool:
    """As JSON has it: 1 is 1.0, and True is neither."""
    return expected == answered and isinstance(expected, bool) == isinstance(answered, bool)


def shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
