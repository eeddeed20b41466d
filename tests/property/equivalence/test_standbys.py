"""Answers with a standby against those of `naive`: each is what naive said at a point of the caller's own history.

That point is known: a standby that has stopped replaying answers as of then whoever has written nothing since, and all
others are answered as of now.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anima.assembly import Anima
from anima.embeddings.hashing import hashed_vector
from anima.memory import MemorySystem
from anima.model import BootstrapRequest, Found, FoundMemory, NewMemory, Query
from anima.recalls.protocol import Recalled
from anima.standbys import CallerHistory
from anima.strategy import BATCHED, FRONTIER, NAIVE, Strategy
from tests.followed import Followed
from tests.memories import NOON, opened

TEXTS = ("a walk by the river", "a walk by the lake", "a realized plan", "the tax office", "a walk by the river bank")
ORACLE = replace(NAIVE, bootstrap_records_access=False)
CALLERS = ("one", "other")

Step = tuple[str, str, str]
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "query", "bootstrap", "stop", "go on"]),
        st.sampled_from(CALLERS),
        st.sampled_from(TEXTS),
    ),
    min_size=3,
    max_size=12,
)


@dataclass
class Ticks:
    """The time and the ids of one side: both sides see the same, step by step."""

    now: datetime = NOON
    ids: int = 0

    def clock(self) -> datetime:
        return self.now

    def new_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids)


@dataclass
class Lockstep:
    """A system with a standby, and `naive` in another database, of which the same is asked in the same order."""

    followed: Followed
    system: Anima
    naive: Anima
    ticks: tuple[Ticks, Ticks]
    histories: dict[str, CallerHistory] = field(default_factory=lambda: {name: CallerHistory() for name in CALLERS})
    written: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CALLERS, 0))
    said: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    stopped_at: int | None = None
    counted: tuple[int, int] = (0, 0)

    async def begin(self) -> None:
        self.said.append(await self._what_naive_says())
        await self.followed.caught_up()

    async def take(self, step: Step) -> None:
        what, caller, text = step
        for ticks in self.ticks:
            ticks.now += timedelta(minutes=1)
        match what:
            case "stop" if self.stopped_at is None:
                await self.followed.stop_replaying()
                self.stopped_at = len(self.said) - 1
            case "go on" if self.stopped_at is not None:
                await self.followed.go_on()
                self.stopped_at = None
            case "add":
                await self._add(caller, text)
            case "query":
                await self._query(caller, text)
            case "bootstrap":
                expected, answers = self._expected(caller)
                bootstrap = await self._of(caller).bootstrap(BootstrapRequest(conversation_id="c"))
                assert [memory.content for memory in bootstrap.active] == expected["bootstrap"]
                self._answered(by_standby=answers)
            case _:
                pass

    def _of(self, caller: str) -> MemorySystem:
        return self.system.of_caller(self.histories[caller])

    def _expected(self, caller: str) -> tuple[dict[str, object], bool]:
        """What naive said at the point that the caller has to see, and whether a standby can say it."""
        is_behind = self.stopped_at is not None and self.written[caller] > self.stopped_at
        point = len(self.said) - 1 if self.stopped_at is None or is_behind else self.stopped_at
        self.counted = self._counts()
        return self.said[point], not is_behind

    def _counts(self) -> tuple[int, int]:
        assert self.system.standbys is not None
        return self.system.standbys.by_standbys, self.system.standbys.by_primary

    def _answered(self, *, by_standby: bool) -> None:
        standbys, primary = self.counted
        assert self._counts() == ((standbys + 1, primary) if by_standby else (standbys, primary + 1))

    async def _add(self, caller: str, text: str) -> None:
        added = await self._of(caller).add(NewMemory(content=text))
        own = await self.naive.memory.add(NewMemory(content=text))
        assert added.duplicate == own.duplicate or added.duplicate is None
        await self._note_write(caller)

    async def _query(self, caller: str, text: str) -> None:
        query = Query(query=text, similarity_threshold=0.2, limit=3, conversation_id="c")
        expected, by_standby = self._expected(caller)
        found = await self._of(caller).query(query)
        assert seen(found.memories) == expected[text]
        self._answered(by_standby=by_standby)
        if not found.memories:
            return
        # The same memories are recorded there, which at this point of its history naive might not have found.
        async with self.naive.memory.database.session() as session:
            await self.naive.memory.recall.record(session, query, recalled(found), self.ticks[1].now)
        await self._note_write(caller)

    async def _note_write(self, caller: str) -> None:
        await self.system.background.drain()
        self.said.append(await self._what_naive_says())
        self.written[caller] = len(self.said) - 1
        if self.stopped_at is None:
            await self.followed.caught_up()

    async def _what_naive_says(self) -> dict[str, object]:
        async with self.naive.memory.database.session() as session:
            said: dict[str, object] = {
                text: seen(
                    await self.naive.memory.search.find(
                        session, Query(query=text, similarity_threshold=0.2, limit=3), hashed_vector(text)
                    )
                )
                for text in TEXTS
            }
        bootstrap = await self.naive.memory.bootstrap(BootstrapRequest(conversation_id="c"))
        return said | {"bootstrap": [memory.content for memory in bootstrap.active]}


def seen(memories: tuple[FoundMemory, ...]) -> list[tuple[object, ...]]:
    return [
        (
            each.memory.content,
            pytest.approx(each.similarity, abs=1e-9),
            each.memory.access_count,
            pytest.approx(each.memory.resonance_phi, abs=1e-9),
        )
        for each in memories
    ]


def recalled(found: Found) -> Recalled:
    return Recalled(found.memories, (), is_proven=True)


@asynccontextmanager
async def lockstep(followed: Followed, strategy: Strategy) -> AsyncGenerator[Lockstep]:
    ticks = (Ticks(), Ticks())
    async with (
        followed.migrated() as url,
        followed.migrated() as naive_url,
        opened(
            url,
            strategy,
            clock=ticks[0].clock,
            new_id=ticks[0].new_id,
            replica_urls=followed.server.standby_urls(url),
        ) as system,
        opened(naive_url, ORACLE, clock=ticks[1].clock, new_id=ticks[1].new_id) as naive,
    ):
        both = Lockstep(followed, system, naive, ticks)
        await both.begin()
        try:
            yield both
        finally:
            if both.stopped_at is not None:
                await followed.go_on()


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(ORACLE, marks=pytest.mark.nightly),
        pytest.param(BATCHED, marks=pytest.mark.nightly),
        pytest.param(FRONTIER, marks=pytest.mark.slow),
    ],
    ids=lambda strategy: strategy.name,
)
def test_each_answer_is_one_of_naive_in_the_callers_own_history(
    followed: Followed, runner: asyncio.Runner, strategy: Strategy
) -> None:
    async def take_all(script: list[Step]) -> None:
        async with lockstep(followed, strategy) as both:
            for step in script:
                await both.take(step)

    @settings(max_examples=2)
    @example([("add", "one", TEXTS[0]), ("stop", "one", ""), ("add", "one", TEXTS[3]), *READ_BY_BOTH])
    @example([("add", "one", TEXTS[0]), ("stop", "one", ""), ("query", "one", TEXTS[0]), *READ_BY_BOTH])
    @given(steps)
    def hold(script: list[Step]) -> None:
        runner.run(take_all(script))

    hold()


READ_BY_BOTH: list[Step] = [
    ("bootstrap", "one", ""),
    ("bootstrap", "other", ""),
    ("query", "other", TEXTS[0]),
    ("query", "other", TEXTS[0]),
    ("go on", "one", ""),
    ("bootstrap", "one", ""),
    ("query", "one", TEXTS[0]),
]
