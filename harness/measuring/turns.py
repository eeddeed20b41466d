"""Tasks that take turns: only one of them works at any time.

They go round and round, so each begins its turn after another one's. There and back again (A B B A) would let the outer
ones go on after themselves, with what the processor still has in its caches, and the inner ones never.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

Gate = Callable[[], Awaitable[None]]
"""Returns when who waits at it may go on."""


async def at_once() -> None:
    """The gate of who has nobody to wait for."""


TurnTaker = Callable[[Gate], Awaitable[None]]
"""Works until it waits at its gate, which ends its turn."""


async def in_turns(parts: Mapping[str, TurnTaker]) -> None:
    """Each part begins with its first turn, and they go round in their order.

    A part that has ended takes no more turns; one that fails ends all of them. Raises an `ExceptionGroup`.
    """
    turns = _Turns(list(parts))

    async def play(name: str, part: TurnTaker) -> None:
        await turns.wait(name)
        await part(lambda: turns.next(name))
        turns.pass_on()

    async with asyncio.TaskGroup() as group:
        for name, part in parts.items():
            group.create_task(play(name, part))
        turns.pass_on()


class _Turns:
    """Whose turn it is: that of the first of `_due`, when the one before passes it on."""

    def __init__(self, names: Sequence[str]) -> None:
        self._due = deque(names)
        self._come = {name: asyncio.Event() for name in names}

    async def wait(self, name: str) -> None:
        await self._come[name].wait()
        self._come[name].clear()

    async def next(self, name: str) -> None:
        self._due.append(name)
        self.pass_on()
        await self.wait(name)

    def pass_on(self) -> None:
        if self._due:
            self._come[self._due.popleft()].set()
