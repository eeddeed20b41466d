"""A circuit breaker: leaves a server alone that failed several times in a row, then tries it with one call.

It knows nothing of what is called or why it failed. No library fits: those for asyncio let every caller through
while half-open, read the wall clock, or are no longer kept.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

CircuitState = Literal["closed", "half_open", "open"]
"""Whether a server is asked: always, by one call that tries it, or not at all."""

logger = logging.getLogger(__name__)


class CircuitOpen(Exception):
    """The server is left alone for `retry_after_s` more; 0 while somebody else tries it."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"left alone for {retry_after_s:.1f} s more")
        self.retry_after_s = retry_after_s


class CircuitBreaker:
    """Opens for `open_s` after `failures_max` failures in a row. `server` names it in log lines."""

    def __init__(
        self, server: str, *, failures_max: int, open_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._failures_max = failures_max
        self._open_s = open_s
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._paused_until: float | None = None
        self._has_probe = False

    @property
    def state(self) -> CircuitState:
        if self._pause_s() > 0:
            return "open"
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._has_probe or self._remaining_s(self._opened_at) <= 0 else "open"

    def pause(self, pause_s: float) -> None:
        """Leaves the server alone for so long, since it asked for that. Then it is called as before, by everybody."""
        self._paused_until = max(self._paused_until or 0.0, self._clock() + pause_s)
        logger.warning("%s is left alone for %.4g s, as it asked.", self._server, pause_s)

    def check(self) -> None:
        """Raises `CircuitOpen` if a call would be turned away now."""
        remaining_s = self._pause_s()
        if self._opened_at is not None:
            remaining_s = max(remaining_s, self._remaining_s(self._opened_at))
        if remaining_s > 0 or self._has_probe:
            raise CircuitOpen(remaining_s)

    @contextmanager
    def call(self, *failures: type[Exception], undecided: tuple[type[Exception], ...] = ()) -> Generator[None]:
        """Surrounds one call. Raises `CircuitOpen`.

        An error is a failure, undecided (it says nothing of the server, as a cancellation does), or else an answer.
        """
        is_probe = self._admit()
        try:
            yield
        except undecided:
            raise
        except failures as failure:
            self._failed(failure, is_probe=is_probe)
            raise
        except Exception:
            self._answered(is_probe=is_probe)
            raise
        else:
            self._answered(is_probe=is_probe)
        finally:
            self._has_probe = self._has_probe and not is_probe

    def _admit(self) -> bool:
        """Whether this call is the one that tries the server again."""
        self.check()
        self._has_probe = self._opened_at is not None
        return self._has_probe

    def _failed(self, failure: Exception, *, is_probe: bool) -> None:
        """What began before the circuit opened tells nothing new when it ends after."""
        if self._opened_at is not None and not is_probe:
            return
        self._failures += 1
        if is_probe or self._failures >= self._failures_max:
            self._opened_at = self._clock()
            logger.warning(
                "%s is left alone for %g s. Failures in a row: %d; the last: %s",
                *(self._server, self._open_s, self._failures, str(failure) or type(failure).__name__),
            )

    def _answered(self, *, is_probe: bool) -> None:
        if self._opened_at is not None and not is_probe:
            return
        if is_probe:
            logger.warning("%s answers again.", self._server)
        self._failures = 0
        self._opened_at = None

    def _remaining_s(self, opened_at: float) -> float:
        return opened_at + self._open_s - self._clock()

    def _pause_s(self) -> float:
        return 0.0 if self._paused_until is None else max(0.0, self._paused_until - self._clock())
