"""Registries of what a gate looks at: a new kind of finding is one module and one line here."""

from collections.abc import Mapping
from typing import Final

from harness.judging.gate_findings.counted import counted, counted_once
from harness.judging.gate_findings.planned import planned
from harness.judging.gate_findings.protocol import Finder
from harness.judging.gate_findings.recalls import recalls_lost
from harness.judging.gate_findings.timed import timed

DECIDED_AT_ONCE: Final[Mapping[str, Finder]] = {"counted": counted, "recalls": recalls_lost, "planned": planned}
"""What is the same in every round, so the first that a pair has decides."""

SHOWN_AGAIN: Final[Mapping[str, Finder]] = {"timed": timed, "counted once": counted_once}
"""What chance may show once, so each round has to."""
