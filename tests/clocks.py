"""A clock that stands still until something waits for it: what a test simulates takes no time."""

import asyncio
import heapq
from itertools import count


class ManualClock:
    """Moves to the next moment that is waited for as soon as nothing else can happen."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self._numbers = count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._mover: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self.time_s

    async def until(self, moment: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (max(moment, self.time_s), next(self._numbers), woken))
        if self._mover is None or self._mover.done():
            self._mover = asyncio.create_task(self._move())
        await woken

    async def sleep(self, seconds: float) -> None:
        await self.until(self.time_s + seconds)

    async def _move(self) -> None:
        while self._waiting:
            # What was woken, and what that has woken, comes to its next wait first.
            for _ in range(10):
                await asyncio.sleep(0)
            self.time_s, _, woken = heapq.heappop(self._waiting)
            if not woken.done():
                woken.set_result(None)
            for _ in range(10):
                await asyncio.sleep(0)
