"""From settings and texts to the requests of a run.

Whether a text is known or comes for the first time is arranged here, not left to chance and timing. Known texts are
primed before the first request. If they became known by an earlier request instead, one that is issued beside that
request would wait for the provider too, and a slow variant that leaves requests out would know fewer of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, islice
from types import MappingProxyType
from typing import Final

from harness.measuring.draws import Draws, Weights
from harness.measuring.operations import Request, Workload
from harness.measuring.targets.anima.corpora.protocol import Corpus, CorpusMemory, CorpusQuery
from harness.measuring.targets.anima.workloads import WORKLOADS
from harness.measuring.targets.anima.workloads.protocol import OPERATIONS, OperationName, WorkloadSettings

# Steps of this fraction of a circle stay evenly spread however many there are, and repeat no pattern.
GOLDEN_SECTION: Final = 0.6180339887498949

TEXT_ARGUMENTS: Final[Mapping[str, str]] = {"add": "content", "query": "query"}
"""The argument that an operation embeds."""


SEEDS: Final = 2**53
"""As many as one draw tells apart."""


@dataclass(slots=True)
class Unused:
    """A corpus that goes on where it was left: what it has to give once, a first-time text, it gives to one drawing.

    The first `repeated` questions are the known ones, which every drawing shares.
    """

    corpus: Corpus
    repeated: int
    memories_used: int = 0
    questions_used: int = 0

    @property
    def name(self) -> str:
        return self.corpus.name

    @property
    def fingerprint(self) -> str:
        return self.corpus.fingerprint

    @property
    def size(self) -> int:
        return self.corpus.size

    def memories(self, count: int) -> tuple[CorpusMemory, ...]:
        return self.corpus.memories(count)

    def new_memories(self, count: int) -> tuple[CorpusMemory, ...]:
        first, self.memories_used = self.memories_used, self.memories_used + count
        return self.corpus.new_memories(self.memories_used)[first:]

    def queries(self, count: int) -> tuple[CorpusQuery, ...]:
        first, self.questions_used = self.questions_used, self.questions_used + count - self.repeated
        questions = self.corpus.queries(self.repeated + self.questions_used)
        return questions[: self.repeated] + questions[self.repeated + first :]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A request with the text that it embeds, if it embeds one. What is asked again is the same object."""

    request: Request
    text: str | None = None
    is_known: bool = False


def drawings(
    settings: WorkloadSettings,
    corpus: Corpus,
    seed: int,
    phases: Mapping[str, tuple[str, int]],
    brought: Mapping[str, Sequence[Request]] = MappingProxyType({}),
) -> Iterator[Workload]:
    """One drawing after another, each of as many requests; no drawn text comes for the first time in two of them.

    What phases bring is the same in all of them. Raises `UsageError` when the corpus has too few texts for the next.
    """
    unused, further_seeds = Unused(corpus, settings.query.distinct_texts), Draws(seed, "further seeds")
    while True:
        yield draw(settings, unused, seed, phases, brought)
        seed = further_seeds.index(SEEDS)


def draw(
    settings: WorkloadSettings,
    corpus: Corpus,
    seed: int,
    phases: Mapping[str, tuple[str, int]],
    brought: Mapping[str, Sequence[Request]] = MappingProxyType({}),
) -> Workload:
    """For each phase so many requests of its workload, beside those of phases that bring their own.

    Raises `UsageError` when the corpus has too few texts.
    """
    orders = {
        phase: tuple(islice(WORKLOADS[workload](settings, Draws(seed, f"{phase} operations")), count))
        for phase, (workload, count) in phases.items()
    }
    totals = Counter(chain.from_iterable(orders.values()))
    streams = {
        operation: STREAMS[operation](settings, corpus, Draws(seed, f"{operation} requests"), totals[operation])
        for operation in OPERATIONS
    }
    drawn = {phase: [next(streams[operation]) for operation in order] for phase, order in orders.items()}
    drawn |= {phase: [_brought(request) for request in requests] for phase, requests in brought.items()}
    primed = _primed_texts(lambda: chain.from_iterable(drawn.values()))
    label = cache(partial(_labelled, primed))
    return Workload(tuple(primed), {phase: tuple(map(label, requests)) for phase, requests in drawn.items()})


def _brought(request: Request) -> Drawn:
    text = request.arguments.get(TEXT_ARGUMENTS.get(request.operation, ""))
    return Drawn(request, text if isinstance(text, str) else None)


def _primed_texts(drawn: Callable[[], Iterable[Drawn]]) -> Mapping[str, None]:
    """What is known, and what more than one request would otherwise be the first to embed; in the order of use."""
    uses = Counter(request.text for request in drawn())
    return dict.fromkeys(
        request.text for request in drawn() if request.text and (request.is_known or uses[request.text] > 1)
    )


def _labelled(primed: Mapping[str, None], drawn: Drawn) -> Request:
    if drawn.text is None:
        return drawn.request
    return replace(drawn.request, first_time_text=drawn.text not in primed)


def _adds(settings: WorkloadSettings, corpus: Corpus, draws: Draws, count: int) -> Iterator[Drawn]:
    """Exact duplicates of loaded memories, and new memories of which some have been recalled before."""
    rates = settings.add
    spread = _spread(draws, count, rates.known_text_rate)
    loaded = corpus.memories(corpus.size)
    new = iter(corpus.new_memories(sum(point >= rates.duplicate_rate for point in spread)))
    for point in spread:
        memory = draws.pick(loaded) if point < rates.duplicate_rate else next(new)
        yield Drawn(Request("add", _fields(memory)), memory.content, point < rates.known_text_rate)


def _queries(settings: WorkloadSettings, corpus: Corpus, draws: Draws, count: int) -> Iterator[Drawn]:
    """Known questions, drawn by a Zipf law, and others that are asked once."""
    stated = settings.query
    known = [point < stated.known_text_rate for point in _spread(draws, count, stated.known_text_rate)]
    questions = corpus.queries(stated.distinct_texts + known.count(False))
    popularity = Weights.zipf(stated.distinct_texts, stated.zipf_exponent)
    once = iter(questions[stated.distinct_texts :])
    asked: dict[tuple[object, ...], Drawn] = {}
    for is_known in known:
        question = questions[popularity.index(draws)] if is_known else next(once)
        arguments = {
            "query": question.query,
            "limit": stated.limit if isinstance(stated.limit, int) else draws.pick(stated.limit),
            "similarity_threshold": stated.similarity_threshold,
            "conversation_id": question.conversation_id or _conversation(settings, draws),
        }
        each = Drawn(Request("query", arguments), question.query, is_known)
        # Of ten million requests, those that are alike are held once.
        yield asked.setdefault(tuple(arguments.values()), each) if is_known else each


def _bootstraps(settings: WorkloadSettings, corpus: Corpus, draws: Draws, count: int) -> Iterator[Drawn]:
    del corpus
    limits = settings.bootstrap.model_dump(exclude_none=True)

    @cache
    def of_conversation(name: str) -> Drawn:
        return Drawn(Request("bootstrap", {"conversation_id": name, **limits}))

    for _ in range(count):
        yield of_conversation(_conversation(settings, draws))


STREAMS: Final[Mapping[OperationName, Callable[[WorkloadSettings, Corpus, Draws, int], Iterator[Drawn]]]] = {
    "add": _adds,
    "query": _queries,
    "bootstrap": _bootstraps,
}


def _spread(draws: Draws, count: int, known_rate: float) -> list[float]:
    """A point of [0, 1) for each request, with about its share below any rate. What is new comes early.

    A request with a new text waits for the provider. In the first half it does so while the others go on, and does not
    hold up the end of its phase; after the first sixth it is not spent on warming up.
    """
    start = draws.fraction()
    points = [(start + number * GOLDEN_SECTION) % 1 for number in range(count)]
    spread = [point for point in points if point < known_rate]
    new = [point for point in points if point >= known_rate]
    first, last = count // 6, count // 2
    for number, point in enumerate(new):
        spread.insert(first + (last - first) * number // len(new), point)
    return spread


def _fields(memory: CorpusMemory) -> dict[str, object]:
    """The contract's input: what a memory does not have is left out."""
    optional = {"category": memory.category, "tags": memory.tags, "source": memory.source}
    present = {name: value for name, value in optional.items() if value}
    return {"content": memory.content, "is_catalyst": memory.is_catalyst, **present}


def _conversation(settings: WorkloadSettings, draws: Draws) -> str:
    return f"conversation-{draws.index(settings.conversations) + 1}"
