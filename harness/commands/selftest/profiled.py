"""Flame graphs of the embedded server's own profiles: of a system with itself, and with a statement planted in it.

Each run draws a corpus and requests of its own, has a server of its own, and is profiled without being timed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.commands.selftest.findings import Finding, Promise
from harness.commands.selftest.measured import measured, scenario
from harness.judging.profile_differences import ProfileDifference, between, side
from harness.measuring.targets.planted import OpenPlanted

PLANTED: Final = "statement-20-ms"

COLOURED: Final = Promise("at most", 0.1)
FOUND: Final = Promise("at least", 0.99)


@dataclass(frozen=True, slots=True)
class ProfiledSize:
    """Says how many runs, the rounds of each that a graph compares, and the requests that are profiled in a round."""

    runs: int
    rounds: int
    requests: int


def differences(size: ProfiledSize, seed: int) -> Iterator[Finding]:
    """Raises `HarnessError` when the server cannot be profiled."""
    runs = [_compared(size, seed + number) for number in range(size.runs)]
    subject = f"Flame graph of {size.rounds} rounds of {size.requests} queries on PostgreSQL"
    coloured = sum(any(frame.changed for frame in same.changes) for _, same in runs)
    yield Finding(f"{subject}, A/A", "a coloured frame", coloured, len(runs), COLOURED)
    first = sum(shows_planted(planted) for planted, _ in runs)
    yield Finding(subject, "a statement of 20 ms more, found first", first, len(runs), FOUND)


def _compared(size: ProfiledSize, seed: int) -> Sequence[ProfileDifference]:
    """The baseline against the planted variant and against its control, which one run profiled without timing any."""
    profile = {"rounds": size.rounds, "requests": size.requests}
    chosen = scenario((PLANTED,), size.requests, seed, {"profile": profile}).model_copy(update={"rounds": 0})
    record = measured(chosen)
    baseline, *others = (side(record, variant.name) for variant in chosen.lineup)
    return [each for other in others for each in between(baseline, other)]


def shows_planted(difference: ProfileDifference) -> bool:
    """Says whether what became slower most is the planted statement, not the whole or what led to it."""
    sender = f":{OpenPlanted.__name__}.{OpenPlanted.send_one_more.__name__}"
    return any(
        each.change_ms > 0 and any(frame.endswith(sender) for frame in each.stack) for each in difference.culprits[:1]
    )
