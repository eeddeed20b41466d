"""An open loop that did not start what it planned has measured a lower rate than it says."""

from collections.abc import Iterator
from typing import Final

from harness.quantities import count, share
from harness.record import RunRecord

MISSED_MAX: Final = 0.01
"""Of the planned starts. One in a hundred that are left out can be all of those that make the p99."""


class MissedRate:
    of_timings_only = True
    meaning = "In an open loop, more than 1% of the planned requests were not started."

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            for phase in variant.phases:
                missed = (phase.planned or 0) - phase.started
                if phase.planned and missed / phase.planned > MISSED_MAX:
                    dropped = f", {count(phase.dropped)} of them dropped at the cap of requests in flight"
                    yield (
                        f"{phase.name} of {variant.name} missed its rate in round {phase.round}: {count(missed)} of "
                        f"{count(phase.planned)} planned requests ({share(missed / phase.planned)}) were not started"
                        f"{dropped if phase.dropped else ''}. Lower the rate, or raise `in_flight_max`"
                    )
