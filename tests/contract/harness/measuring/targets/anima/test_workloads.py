"""The contract of workloads/protocol.py, for every workload in the registry, alone and all in one run."""

import random
from collections.abc import Mapping, Sequence
from itertools import islice

import pytest

from harness.measuring.draws import Draws
from harness.measuring.operations import Request, Workload
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.anima.corpora.protocol import Corpus
from harness.measuring.targets.anima.requests import draw
from harness.measuring.targets.anima.workloads import WORKLOADS, WorkloadSettings
from harness.measuring.targets.anima.workloads.protocol import OPERATIONS

COUNT = 60
EMBEDDED_FIELD = {"add": "content", "query": "query", "bootstrap": None}
RUNS = [*((name,) for name in WORKLOADS), tuple(WORKLOADS)]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return GeneratedSettings(size=200).open()


def drawn(corpus: Corpus, phases: Sequence[str], seed: int = 1, count: int = COUNT) -> Workload:
    return draw(WorkloadSettings(), corpus, seed, {phase: (phase, count) for phase in phases})


def text_of(request: Request) -> object:
    field = EMBEDDED_FIELD[request.operation]
    return request.arguments[field] if field else None


def truth(primed: Sequence[object], issued: Sequence[Request]) -> list[bool | None]:
    """Remembers every text that was embedded so far."""
    embedded = set(primed)
    labels: list[bool | None] = []
    for request in issued:
        text = text_of(request)
        labels.append(None if text is None else text not in embedded)
        embedded.add(text)
    return labels


def cut_short(phases: Mapping[str, Sequence[Request]], chance: random.Random) -> list[Request]:
    """What a variant issues that runs out of time: a beginning of each phase, users overtaking each other."""
    issued = []
    for requests in phases.values():
        beginning = list(requests[: chance.randint(0, len(requests))])
        chance.shuffle(beginning)
        issued += beginning
    return issued


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_draws_alone_decide_which_operation_comes_next(name: str) -> None:
    settings = WorkloadSettings()
    operations = list(islice(WORKLOADS[name](settings, Draws(1, "order")), 100))
    assert operations == list(islice(WORKLOADS[name](settings, Draws(1, "order")), 100))
    assert set(operations) <= set(OPERATIONS)


@pytest.mark.parametrize("phases", RUNS, ids=",".join)
def test_the_same_seed_gives_the_same_requests_and_another_gives_others(corpus: Corpus, phases: Sequence[str]) -> None:
    assert drawn(corpus, phases) == drawn(corpus, phases)
    assert drawn(corpus, phases) != drawn(corpus, phases, seed=2)


@pytest.mark.parametrize("phases", RUNS, ids=",".join)
def test_every_phase_has_as_many_requests_as_it_sends(corpus: Corpus, phases: Sequence[str]) -> None:
    workload = drawn(corpus, phases)
    for phase in phases:
        assert len(workload.by_phase[phase]) == COUNT


@pytest.mark.parametrize("phases", RUNS, ids=",".join)
def test_first_time_texts_are_told_truly_in_the_order_of_issue(corpus: Corpus, phases: Sequence[str]) -> None:
    workload = drawn(corpus, phases)
    warm_up = [request for phase in phases for request in workload.by_phase[phase][:7]]
    timed = [request for phase in phases for request in workload.by_phase[phase][7:]]
    issued = warm_up + timed
    assert [request.first_time_text for request in issued] == truth(workload.primed_texts, issued)


@pytest.mark.parametrize("phases", RUNS, ids=",".join)
@pytest.mark.parametrize("seed", range(5))
def test_first_time_texts_are_told_truly_whatever_a_variant_leaves_out(
    corpus: Corpus, phases: Sequence[str], seed: int
) -> None:
    workload = drawn(corpus, phases)
    issued = cut_short(workload.by_phase, random.Random(seed))
    assert [request.first_time_text for request in issued] == truth(workload.primed_texts, issued)


@pytest.mark.parametrize("phases", RUNS, ids=",".join)
def test_what_is_primed_is_used_and_primed_once(corpus: Corpus, phases: Sequence[str]) -> None:
    workload = drawn(corpus, phases)
    used = {text_of(request) for requests in workload.by_phase.values() for request in requests}
    assert len(set(workload.primed_texts)) == len(workload.primed_texts)
    assert set(workload.primed_texts) <= used


@pytest.mark.parametrize("phases", RUNS, ids=",".join)
def test_no_new_memory_is_added_twice(corpus: Corpus, phases: Sequence[str]) -> None:
    workload = drawn(corpus, phases)
    loaded = {memory.content for memory in corpus.memories(corpus.size)}
    added = [
        text_of(request)
        for requests in workload.by_phase.values()
        for request in requests
        if request.operation == "add" and text_of(request) not in loaded
    ]
    assert len(set(added)) == len(added)
