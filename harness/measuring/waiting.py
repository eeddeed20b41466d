"""A line now and then for who waits where there is no terminal: what goes on, for how long, and how long it may take.

A thread says it, since what goes on may keep its own thread busy. Other output counts: only silence is broken.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Final

SILENCE_S_MAX: Final = 9.0
"""A tenth second is for a busy machine."""

SHARE_MIN: Final = 0.02
"""From less of the work than this nobody can tell how long the rest takes."""


class Waiting:
    """`step` is what goes on; `share` of all the work is done, None where that is not known."""

    def __init__(
        self,
        say: Callable[[str], None],
        step: Callable[[], str],
        share: Callable[[], float | None],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._say, self._step, self._share, self._clock = say, step, share, clock
        self._begun = self._heard = clock()

    def heard(self) -> None:
        """Something else was said."""
        self._heard = self._clock()

    def look(self) -> float:
        """Breaks a silence that is too long; returns the seconds until the next look is due."""
        now = self._clock()
        if now - self._heard >= SILENCE_S_MAX:
            self._say(f"  {_time(now - self._begun)}: {self._step()}; {self._left(now)}")
            self._heard = now
        return SILENCE_S_MAX - (now - self._heard)

    @contextmanager
    def over(self) -> Generator[None]:
        """Looks until the block ends."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(self.look()):
                pass

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _left(self, now: float) -> str:
        share = self._share()
        if share is None or not SHARE_MIN <= share < 1:
            return "time to go not known yet"
        return f"about {_time((now - self._begun) * (1 - share) / share)} to go"


def _time(seconds: float) -> str:
    """`50 s`, `2 min 10 s`, `1 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:  # noqa: PLR2004 -- of an hour
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
