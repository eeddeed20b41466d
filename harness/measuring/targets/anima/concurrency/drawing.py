"""Draws what several clients do, such that they meet: few memories, near each other, and few changes of who goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, get_args

from anima.model import NewMemory, Query, Tier
from anima.strategy import Strategy
from harness.measuring.targets.anima.concurrency.embedder import CACHE_TTL_S
from harness.measuring.targets.anima.concurrency.interleavings import (
    ChangeModel,
    Client,
    ClientStep,
    ConnectionLoss,
    FailWork,
    Hold,
    Interleaving,
    Loss,
    ProviderOutage,
    SetupStep,
    WorkName,
    WorkOnce,
)
from harness.measuring.targets.anima.equivalence.steps import Drain, Load, Wait
from harness.measuring.targets.anima.equivalence.texts import APART, AROUND_DUPLICATE, LABELS, centre, variant

TURNS_MAX: Final = 60
FREE_CLIENTS: Final = 6
FREE_STEPS: Final = 5
GOES_ON: Final = (0.6, 0.8, 0.9)
"""How probably the same client goes on: most races need few changes, at the right places."""

SPECIAL: Final = (
    ("3800 0 0 1249",),  # 3e-8 below the similarity of duplicates.
    ("2049 0 0 2051",),  # Half precision has no such numbers.
    ("1 | again", "1 | again "),
    ("20 0 0 6", "20 0 0 13"),  # Near to each other, and one of them to the centre.
)
LOADED: Final = ((Tier.ACTIVE, 0), (Tier.ACTIVE, 3), (Tier.ACTIVE, 4), (Tier.THREAD, 18), (Tier.THREAD, 19))
WORK_NAMES: Final[tuple[WorkName, ...]] = get_args(WorkName)
LOSSES: Final[tuple[Loss, ...]] = get_args(Loss)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn follows from `drawn` alone."""

    drawn: Random
    strategy: Strategy
    clients: int
    contents: Sequence[str] = ()

    def interleaving(self) -> Interleaving:
        return replace(self, contents=self._texts()).of_texts()

    def free(self) -> Interleaving:
        """Many who do much, as fast as they can."""
        return replace(self, contents=self._texts()).free_of_texts()

    def free_of_texts(self) -> Interleaving:
        setup = tuple(self._setup())
        clients = tuple(Client(steps=tuple(self._step() for _ in range(FREE_STEPS))) for _ in range(FREE_CLIENTS))
        return Interleaving(setup=setup, clients=clients, turns=None)

    def of_texts(self) -> Interleaving:
        themes = (self._any, self._of_work, self._crossing, self._alike)
        return self.drawn.choices(themes, (3, 2, 1, 1))[0]()

    def _of_work(self) -> Interleaving:
        """Workers meet over pairs of memories that are about to be merged."""
        oldest, newer, newest = self.contents[:3]
        setup: list[SetupStep] = [
            Load(content=oldest, tier=self.drawn.choice((Tier.ACTIVE, Tier.THREAD))),
            Load(content=self.contents[-1]),
            NewMemory(content=newer),
            *self.drawn.choice(((), (NewMemory(content=newest),))),
            self._asked(self.drawn.choice((oldest, newer)), tiers=self.drawn.choice(((), (Tier.ACTIVE,)))),
            *self.drawn.choice(((), (self._asked(newer),))),
        ]
        clients = tuple(Client(steps=(self._work(), *self.drawn.choice(((), (self._work(),))))) for _ in range(2))
        return Interleaving(setup=tuple(setup), clients=self._disrupted(clients), turns=tuple(self._turns(2)))

    def _crossing(self) -> Interleaving:
        """Two find the same in other orders, while somebody has a part of it."""
        near, far = self.contents[0], self.contents[-1]
        setup = (Load(content=near), Load(content=far), Load(content=centre(1) + " | also"), self._asked(near))
        held = self.drawn.choice((Hold(content=near), Hold(content=near, pair_with=far), Hold(content=far)))
        clients = [Client(steps=(self._asked(text),)) for text in (near, centre(1))]
        turns = [2] * 2 + [0] * self.drawn.randint(2, 6) + [1] * self.drawn.randint(2, 6) + [2]
        return Interleaving(setup=setup, clients=(*clients, Client(steps=(held,))), turns=tuple(turns))

    def _alike(self) -> Interleaving:
        """All do the same, or add what is near."""
        added = self.drawn.choice(((self.contents[1],), self.contents[:2]))
        asked = self._asked(self.contents[0])
        steps: list[ClientStep] = [NewMemory(content=self.drawn.choice(added)) for _ in range(2)]
        pairs = self.drawn.choice((steps, [asked, asked]))
        clients = tuple(Client(steps=(step,)) for step in pairs)
        return Interleaving(
            setup=(self._load(self.contents[0]),) if pairs is not steps else (),
            clients=self._disrupted(clients) if self._queries_are_whole() else clients,
            turns=tuple(self._turns(2)),
            same_time=self.drawn.random() < 0.3,  # noqa: PLR2004 -- often enough
        )

    def _asked(self, text: str, **asked: Any) -> Query:  # noqa: ANN401 -- fields of a query
        """Returns all that there is, in a conversation."""
        return Query(
            query=text, similarity_threshold=0.0, conversation_id=self.drawn.choice(("first", "second")), **asked
        )

    def _disrupted(self, clients: tuple[Client, ...]) -> tuple[Client, ...]:
        """The first loses its connection in one of three."""
        if self.drawn.random() < 0.66:  # noqa: PLR2004 -- most do not
            return clients
        return (clients[0].model_copy(update={"disruption": self._loss()}), *clients[1:])

    def _any(self) -> Interleaving:
        setup = self._setup()
        number = self.drawn.randint(2, self.clients)
        return Interleaving(
            setup=tuple(setup),
            clients=tuple(self._client() for _ in range(number)),
            turns=tuple(self._turns(number)),
            same_time=self.drawn.random() < 0.3,  # noqa: PLR2004 -- often enough
        )

    def _texts(self) -> list[str]:
        """Around one centre, some of them so near that they merge, and one elsewhere."""
        near = [
            variant(0, self.drawn.choice(AROUND_DUPLICATE), self.drawn.randrange(3), self.drawn.choice(LABELS))
            for _ in range(3)
        ]
        apart = [
            variant(0, self.drawn.choice(APART), self.drawn.randrange(3), self.drawn.choice(LABELS)) for _ in range(2)
        ]
        special = self.drawn.choice(SPECIAL)
        return list(dict.fromkeys([centre(0) + self.drawn.choice(LABELS), *near, *apart, centre(1), *special]))

    def _setup(self) -> list[SetupStep]:
        steps: list[SetupStep] = [
            self._load(content) for content in self.drawn.sample(self.contents, self.drawn.randint(1, 3))
        ]
        operations = self.drawn.choices((self._add, self._query), (3, 2), k=self.drawn.randint(0, 3))
        steps += [operation() for operation in operations]
        if self.drawn.random() < 0.3:  # noqa: PLR2004 -- often enough
            steps.insert(self.drawn.randint(0, len(steps)), Drain())
        if self.drawn.random() < 0.08:  # noqa: PLR2004 -- ten attempts take time
            steps.append(FailWork(kind=self.drawn.choice(WORK_NAMES[:3])))
        if self.drawn.random() < 0.06:  # noqa: PLR2004 -- what is near then is judged less
            steps.append(ChangeModel(model="others"))
        return steps

    def _load(self, content: str) -> Load:
        tier, access_count = self.drawn.choice(LOADED)
        phi = self.drawn.choice((0.0, 1.0, 4.85, 4.95))
        return Load(content=content, tier=tier, access_count=access_count, resonance_phi=phi)

    def _client(self) -> Client:
        steps = tuple(self._step() for _ in range(self.drawn.choice((1, 1, 2, 2, 3))))
        is_disruptable = all(not isinstance(step, Query) or self._queries_are_whole() for step in steps)
        if not is_disruptable or self.drawn.random() < 0.75:  # noqa: PLR2004 -- most are not
            return Client(steps=steps)
        return Client(steps=steps, disruption=self._loss())

    def _loss(self) -> ConnectionLoss:
        loss = self.drawn.choice(LOSSES)
        if self.drawn.random() < 0.5:  # noqa: PLR2004 -- either
            return ConnectionLoss(loss=loss)
        return ConnectionLoss(loss=loss, at=self.drawn.randint(1, 8))

    def _queries_are_whole(self) -> bool:
        """Else each of their statements is kept by itself, as in the system before the fixes."""
        return self.strategy.association_placement == "background" or self.strategy.recall == "one_statement"

    def _step(self) -> ClientStep:
        kinds = (self._query, self._add, self._work, self._hold, self._of_provider)
        return self.drawn.choices(kinds, (10, 8, 8, 2, 1.5))[0]()

    def _query(self) -> Query:
        return Query(
            query=self.drawn.choice((centre(0), centre(0), *self.contents)),
            limit=self.drawn.choice((2, 3, 20)),
            similarity_threshold=self.drawn.choice((0.0, 0.1, 0.5)),
            conversation_id=self.drawn.choice(("first", "first", "second", None)),
        )

    def _add(self) -> NewMemory:
        """Often the same text."""
        content = self.contents[1] if self.drawn.random() < 0.4 else self.drawn.choice(self.contents)  # noqa: PLR2004 -- so that adds meet
        return NewMemory(content=content, is_catalyst=self.drawn.random() < 0.1)  # noqa: PLR2004 -- few are

    def _work(self) -> ClientStep:
        mine = ("co_occurrence",) if self.strategy.recall == "stepwise" else ("fold", "rekey")
        return WorkOnce(kind=self.drawn.choice(("consolidation", "consolidation", "catalyst_detection", *mine)))

    def _hold(self) -> Hold:
        content, other = self.drawn.sample(self.contents, 2)
        return Hold(content=content, pair_with=self.drawn.choice((None, other)))

    def _of_provider(self) -> ClientStep:
        return self.drawn.choice((ProviderOutage(), ProviderOutage(calls=2), Wait(seconds=int(CACHE_TTL_S))))

    def _turns(self, number: int) -> list[int]:
        turns, goes_on_to = [self.drawn.randrange(number)], self.drawn.choice(GOES_ON)
        while len(turns) < TURNS_MAX:
            goes_on = self.drawn.random() < goes_on_to
            turns.append(turns[-1] if goes_on else self.drawn.randrange(number))
        return turns
