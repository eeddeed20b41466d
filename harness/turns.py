"""Tasks that take turns: only one of them works at any time, and the order of their turns favours none."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

Gate = Callable[[], Awaitable[None]]
"""Returns when who waits at it may go on."""

Part = Callable[[Gate], Awaitable[None]]
"""Works until it waits at its gate, which ends its turn."""


async def in_turns(parts: Mapping[str, Part]) -> None:
    """Each part begins with its first turn, in their order; then they go on in the reverse order, and so forth.

    A part that has ended takes no more turns; one that fails ends all of them. Raises an `ExceptionGroup`.
    """
    turns = _Turns(list(parts))

    async def play(name: str, part: Part) -> None:
        await turns.wait(name)
        await part(lambda: turns.next(name))
        turns.leave(name)

    async with asyncio.TaskGroup() as group:
        for name, part in parts.items():
            group.create_task(play(name, part))
        turns.pass_on()


class _Turns:
    """Whose turn it is; `_due` are those who have one before the order is reversed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._order = list(names)
        self._due = deque(names)
        self._come = {name: asyncio.Event() for name in names}

    async def wait(self, name: str) -> None:
        await self._come[name].wait()
        self._come[name].clear()

    async def next(self, name: str) -> None:
        self.pass_on()
        await self.wait(name)

    def leave(self, name: str) -> None:
        self._order.remove(name)
        self.pass_on()

    def pass_on(self) -> None:
        if not self._due:
            self._order.reverse()
            self._due.extend(self._order)
        if self._due:
            self._come[self._due.popleft()].set()
