"""Processor time of the load generator: this process and the workers that it has waited for.

A target that lives in this process is part of it. It is the steadiest clock of code on a shared machine, since time in
which somebody else had the processor is not in it.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.measuring.probes.protocol import CountedSpan, Observable


@dataclass(frozen=True, slots=True)
class ClientCpu:
    """Once for what an operation costs in all, and once for whether the timed pass had a processor to spare."""

    counter: str
    span: CountedSpan
    is_level: bool = False

    @property
    def counters(self) -> Mapping[str, str]:
        return {self.counter: "processor seconds of the load generator, and of a target that lives in its process"}

    async def read(self, observable: Observable) -> Mapping[str, float]:
        del observable
        children = os.times()
        return {self.counter: time.process_time() + children.children_user + children.children_system}
