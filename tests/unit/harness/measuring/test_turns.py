"""Tasks that take turns: one at a time, each after another."""

import asyncio
from collections.abc import Sequence

import pytest

from harness.measuring.turns import Gate, TurnTaker, in_turns


class Log:
    """Notes who works; each part gives way to the others in its turn, which a turn must survive."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.working = 0

    def part(self, name: str, turns: int) -> TurnTaker:
        async def work(gate: Gate) -> None:
            for number in range(turns):
                if number:
                    await gate()
                self.working += 1
                assert self.working == 1, "two work at once"
                self.turns.append(name)
                await asyncio.sleep(0)
                self.working -= 1

        return work


async def played(*turns: int) -> Sequence[str]:
    log = Log()
    await in_turns({name: log.part(name, count) for name, count in zip("abc", turns, strict=False)})
    return log.turns


async def test_they_go_round_and_nobody_follows_on_themselves() -> None:
    assert "".join(await played(4, 4)) == "abababab"
    assert "".join(await played(3, 3, 3)) == "abcabcabc"


async def test_who_has_ended_takes_no_more_turns() -> None:
    assert "".join(await played(1, 3, 2)) == "abcbcb"
    assert "".join(await played(3)) == "aaa"
    assert not await played()


async def test_one_that_fails_ends_all() -> None:
    log = Log()

    async def fail(gate: Gate) -> None:
        await gate()
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as raised:
        await in_turns({"a": log.part("a", 100), "b": fail})
    assert raised.group_contains(ValueError, match="broken")
    assert log.turns == ["a", "a"]
