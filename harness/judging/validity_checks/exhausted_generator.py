"""A generator that cannot open a connection has not asked the system, whose errors these would be counted as."""

from collections.abc import Iterator
from typing import Final

from harness.errors import EXHAUSTIONS
from harness.judging.columns import Columns
from harness.quantities import count
from harness.record import RunRecord

ADVICE: Final = {
    "EMFILE": "Raise its limit of open files (`ulimit -n 65536`), or lower the number of users",
    "ENFILE": "Raise the machine's limit of open files (`sysctl fs.file-max`), or lower the number of users",
    "EADDRNOTAVAIL": "Widen `net.ipv4.ip_local_port_range`, or open fewer connections",
    "ENOBUFS": "Give the machine memory for sockets, or open fewer connections",
}
assert ADVICE.keys() == EXHAUSTIONS.keys(), "each has its advice"


class ExhaustedGenerator:
    of_timings_only = False
    meaning = (
        "The load generator's side ran out of open files, ports or buffers (EMFILE, ENFILE, EADDRNOTAVAIL, ENOBUFS) "
        "for a request."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            kinds = Columns.of(variant.samples).tally_by(lambda traits: traits.error)
            for kind, requests in kinds.items():
                if kind is None or kind not in ADVICE:
                    continue
                yield (
                    f"the load generator had {EXHAUSTIONS[kind]} for {count(requests)} requests to {variant.name} "
                    f"({kind}). {ADVICE[kind]}"
                )
