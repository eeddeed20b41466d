"""A generator that stood still has timed its own absence: who stopped it, the machine or a person, does not matter."""

from collections.abc import Iterator
from typing import Final

from harness.quantities import duration
from harness.record import RunRecord

STOPPED_MAX_S: Final = 1.0


class StoppedGenerator:
    of_timings_only = True
    meaning = "While a phase was timed, the load generator stood still, or its machine slept, for more than 1 s in all."

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            for phase in variant.phases:
                where = f"in {phase.name} of {variant.name}, round {phase.round}"
                stopped_s = phase.counters.get("generator_stopped_s", 0.0)
                asleep_s = phase.counters.get("machine_asleep_s", 0.0)
                if stopped_s > STOPPED_MAX_S:
                    yield (
                        f"the load generator stood still for {duration(stopped_s)} {where}. Leave it running, without "
                        "a stop signal or a debugger, on a machine that has a processor and memory for it"
                    )
                if asleep_s > STOPPED_MAX_S:
                    yield (
                        f"the machine slept for {duration(asleep_s)} {where}. Keep it awake while it measures, for "
                        "example by systemd-inhibit or caffeinate"
                    )
