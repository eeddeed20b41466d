"""Requests carry what their settings say, in the stated shares."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.errors import UsageError
from harness.measuring.operations import Request, Workload
from harness.measuring.targets.anima.corpora.file import FileSettings
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.anima.corpora.protocol import Corpus
from harness.measuring.targets.anima.requests import draw, drawings
from harness.measuring.targets.anima.workloads.protocol import AddSettings, MixSettings, QuerySettings, WorkloadSettings


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return GeneratedSettings(size=200).open()


def requests(corpus: Corpus, operation: str, count: int, **settings: object) -> tuple[Request, ...]:
    workload = WorkloadSettings.model_validate(settings)
    return draw(workload, corpus, 1, {operation: (operation, count)}).by_phase[operation]


def known(issued: tuple[Request, ...]) -> int:
    return sum(request.first_time_text is False for request in issued)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("count", [10, 100])
def test_known_texts_come_in_the_stated_share_however_few_requests(corpus: Corpus, rate: float, count: int) -> None:
    adds = requests(corpus, "add", count, add={"known_text_rate": rate, "duplicate_rate": rate / 2})
    queries = requests(corpus, "query", count, query={"known_text_rate": rate})
    assert abs(known(adds) - rate * count) <= 1
    assert abs(known(queries) - rate * count) <= 1


def test_duplicates_are_of_loaded_memories_and_come_in_the_stated_share(corpus: Corpus) -> None:
    loaded = {memory.content for memory in corpus.memories(200)}
    adds = requests(corpus, "add", 100, add={"known_text_rate": 0.6, "duplicate_rate": 0.25})
    duplicates = [request for request in adds if request.arguments["content"] in loaded]
    assert abs(len(duplicates) - 25) <= 1
    assert all(request.first_time_text is False for request in duplicates)


def test_an_add_brings_what_the_memory_has(corpus: Corpus) -> None:
    memory = corpus.new_memories(1)[0]
    added = requests(corpus, "add", 1, add={"known_text_rate": 0, "duplicate_rate": 0})[0]
    assert added.arguments == {
        "content": memory.content,
        "category": memory.category,
        "tags": memory.tags,
        "source": memory.source,
        "is_catalyst": memory.is_catalyst,
    }


def test_known_questions_are_asked_by_their_popularity(corpus: Corpus) -> None:
    queries = requests(corpus, "query", 1_000, query={"known_text_rate": 1, "distinct_texts": 30, "zipf_exponent": 1.1})
    asked = Counter(request.arguments["query"] for request in queries)
    popular = [question.query for question in corpus.queries(30)]
    assert set(asked) <= set(popular)
    assert asked.most_common(1)[0][0] == popular[0]
    assert asked[popular[0]] > 2 * asked[popular[4]] > 2 * asked[popular[25]]


def test_a_query_says_what_the_scenario_says(corpus: Corpus) -> None:
    query = requests(corpus, "query", 1, query={"limit": 7, "similarity_threshold": 0.25}, conversations=1)[0]
    assert {**query.arguments, "query": "?"} == {
        "query": "?",
        "limit": 7,
        "similarity_threshold": 0.25,
        "conversation_id": "conversation-1",
    }


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({}, {"limit": 50}),
        ({"limit": 10, "active_limit": 4}, {"limit": 10, "active_limit": 4}),
        ({"active_limit": 0}, {"limit": 50, "active_limit": 0}),
    ],
)
def test_a_bootstrap_says_what_the_scenario_says(
    corpus: Corpus, settings: Mapping[str, int], limits: Mapping[str, int]
) -> None:
    bootstrap = requests(corpus, "bootstrap", 1, bootstrap=settings, conversations=1)[0]
    assert bootstrap.arguments == {"conversation_id": "conversation-1", **limits}
    assert bootstrap.first_time_text is None


def test_requests_belong_to_as_many_conversations_as_stated(corpus: Corpus) -> None:
    for operation in ("query", "bootstrap"):
        issued = requests(corpus, operation, 200, conversations=5)
        assert len({request.arguments["conversation_id"] for request in issued}) == 5


def test_a_question_that_has_a_conversation_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "memories.txt").write_text("a memory\n")
    (tmp_path / "queries.jsonl").write_text('{"query": "Where?", "conversation_id": "its-own"}\n{"query": "Who?"}\n')
    settings = FileSettings(size=1, memories_path=tmp_path / "memories.txt", queries_path=tmp_path / "queries.jsonl")
    queries = requests(settings.open(), "query", 50, query={"distinct_texts": 2, "known_text_rate": 1})
    conversations = {(request.arguments["query"], request.arguments["conversation_id"]) for request in queries}
    assert ("Where?", "its-own") in conversations
    assert {conversation for query, conversation in conversations if query == "Where?"} == {"its-own"}
    assert len(conversations) > 2


def test_a_text_that_is_both_asked_and_added_is_known_to_both(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(40)]
    (tmp_path / "memories.txt").write_text("loaded\n" + "\n".join(texts))
    (tmp_path / "queries.txt").write_text("\n".join(texts))
    corpus = FileSettings(size=1, memories_path=tmp_path / "memories.txt", queries_path=tmp_path / "queries.txt").open()
    settings = WorkloadSettings.model_validate(
        {
            "add": {"known_text_rate": 0, "duplicate_rate": 0},
            "query": {"known_text_rate": 0, "distinct_texts": 1},
        }
    )
    workload = draw(settings, corpus, 1, {"add": ("add", 20), "query": ("query", 20)})
    # The questions that are asked once are those from the second on, and so the first text is only added.
    added, asked = workload.by_phase["add"], workload.by_phase["query"]
    assert [request.first_time_text for request in added] == [True] + [False] * 19
    assert [request.first_time_text for request in asked] == [False] * 19 + [True]
    assert set(workload.primed_texts) == set(texts[1:20])


def test_phases_share_one_stream_of_memories_and_of_questions(corpus: Corpus) -> None:
    workload = draw(WorkloadSettings(), corpus, 1, {"add": ("add", 30), "mix": ("mix", 100)})
    first_time = [
        request.arguments["content"]
        for requests in workload.by_phase.values()
        for request in requests
        if request.operation == "add" and request.first_time_text
    ]
    assert len(set(first_time)) == len(first_time) > 15


def test_the_usual_mix_is_a_fifth_three_fifths_and_a_fifth(corpus: Corpus) -> None:
    operations = Counter(request.operation for request in requests(corpus, "mix", 5_000))
    assert operations == pytest.approx({"add": 1_000, "query": 3_000, "bootstrap": 1_000}, rel=0.06)


def test_what_the_mix_does_not_name_is_not_in_it(corpus: Corpus) -> None:
    assert {request.operation for request in requests(corpus, "mix", 200, mix={"query": 3, "add": 1})} == {
        "query",
        "add",
    }


def test_a_corpus_with_too_few_texts_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "memories.txt").write_text("\n".join(f"memory number {number}" for number in range(30)))
    corpus = FileSettings(size=20, memories_path=tmp_path / "memories.txt").open()
    with pytest.raises(UsageError, match="others are needed to add during it"):
        requests(corpus, "add", 30)
    with pytest.raises(UsageError, match="distinct questions of the 50 needed"):
        requests(corpus, "query", 1)


def test_more_duplicates_than_known_texts_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"`duplicate_rate` 0\.6 exceeds `known_text_rate` 0\.5"):
        AddSettings(duplicate_rate=0.6)


def test_a_mix_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="No operation weighs anything"):
        MixSettings(add=0, query=0, bootstrap=0)


@pytest.mark.parametrize(
    "section",
    [{"ad": {}}, {"query": {"zipf": 1}}, {"query": {"limit": 101}}, {"bootstrap": {"limit": 0}}, {"conversations": 0}],
)
def test_what_the_contract_does_not_allow_is_refused(section: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        WorkloadSettings.model_validate(section)


def test_further_drawings_repeat_the_known_questions_and_no_first_time_text() -> None:
    phases = {"add": ("add", 40), "query": ("query", 60)}
    settings = WorkloadSettings(query=QuerySettings(known_text_rate=0.5, distinct_texts=5))
    corpus = GeneratedSettings(size=50).open()
    first, *further = islice(drawings(settings, corpus, 1, phases), 3)
    assert first == draw(settings, corpus, 1, phases)
    new = [content(request) for each in (first, *further) for request in requests_of(each) if request.first_time_text]
    assert len(new) == len(set(new)) > 60
    known = [{content(request) for request in each.by_phase["query"]} & set(each.primed_texts) for each in further]
    assert known[0] & known[1]
    assert further[0].by_phase != further[1].by_phase


def requests_of(workload: Workload) -> list[Request]:
    return [request for requests in workload.by_phase.values() for request in requests]


def content(request: Request) -> object:
    return request.arguments.get("content") or request.arguments["query"]


def test_requests_that_are_alike_are_held_once(corpus: Corpus) -> None:
    """A run may have ten million."""
    settings = WorkloadSettings.model_validate({"query": {"known_text_rate": 0.9, "distinct_texts": 10}})
    issued = draw(settings, corpus, 1, {"q": ("query", 1_000), "b": ("bootstrap", 1_000)}).by_phase
    for phase, once in (("q", 100), ("b", 0)):
        different = {repr(request) for request in issued[phase]}
        assert once < len({id(request) for request in issued[phase]}) <= len(different) < 500
