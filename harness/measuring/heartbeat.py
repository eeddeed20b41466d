"""Says whether this process was running all along: a thread wakes often, and notes when it woke late.

A thread, since it also wakes while the event loop waits for a slow target that does not yield.
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

INTERVAL_S: Final = 0.1
LATE_S: Final = 0.5
"""A busy machine wakes a thread late by some tens of milliseconds, and these are part of any measurement."""


def awake_and_asleep_s() -> float:
    """Time since the machine started, its sleep included; without it where the system does not tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class ComparedClocks:
    """Says what is compared: `now` stands still while the machine sleeps, `boot` does not, and `wall` can be set."""

    now: Callable[[], float] = time.monotonic
    boot: Callable[[], float] = awake_and_asleep_s
    wall: Callable[[], float] = time.time


@dataclass(slots=True)
class Heartbeat:
    """Adds up over all blocks that it has watched.

    `wall_clock_step_s` is by how much the wall clock went ahead of the one that times requests, negative when it was
    set back: for the record only, since nothing is timed by it.
    """

    clocks: ComparedClocks = field(default_factory=ComparedClocks)
    stopped_s: float = 0.0
    asleep_s: float = 0.0
    wall_clock_step_s: float = 0.0

    @contextmanager
    def watched(self) -> Generator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended.wait,), name="heartbeat", daemon=True)
        now, boot, wall = self.clocks.now(), self.clocks.boot(), self.clocks.wall()
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            elapsed_s, since_boot_s = self.clocks.now() - now, self.clocks.boot() - boot
            self.asleep_s += max(0.0, since_boot_s - elapsed_s)
            self.wall_clock_step_s += self.clocks.wall() - wall - since_boot_s

    @property
    def counters(self) -> Mapping[str, float]:
        return {
            "generator_stopped_s": round(self.stopped_s, 3),
            "machine_asleep_s": round(self.asleep_s, 3),
            "wall_clock_step_s": round(self.wall_clock_step_s, 3),
        }

    def _beat(self, ended: Callable[[float], bool]) -> None:
        """`ended` waits for so long, and says whether this was the last time."""
        was_last = False
        before = self.clocks.now()
        while not was_last:
            was_last = ended(INTERVAL_S)
            now = self.clocks.now()
            late_s = now - before - INTERVAL_S
            if late_s > LATE_S:
                self.stopped_s += late_s
            before = now
