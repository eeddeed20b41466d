"""The contract of harness/measuring/targets/anima/corpora/protocol.py, for every corpus in the registry."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.measuring.targets.anima.corpora import CORPORA, CorpusSection
from harness.measuring.targets.anima.corpora.protocol import Corpus, CorpusSettings

SIZE = 120
NEW = 60
ASKED = 80

Stream = Callable[[Corpus, int], tuple[object, ...]]

STREAMS: Mapping[str, Stream] = {
    "memories": lambda corpus, count: corpus.memories(count),
    "new_memories": lambda corpus, count: corpus.new_memories(count),
    "queries": lambda corpus, count: corpus.queries(count),
}


def needs(kind: str, directory: Path) -> Mapping[str, object]:
    """What a kind's section has to say besides its size."""
    if kind != "file":
        return {}
    path = directory / "memories.jsonl"
    words = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(100, 500)]
    texts = [f"The {word} slept, and nobody heard it" for word in words]
    path.write_text("".join(json.dumps({"content": text, "tags": ["animal"]}) + "\n" for text in texts))
    return {"memories_path": path}


@pytest.fixture(params=CORPORA)
def section(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    return {"kind": request.param, "size": SIZE, **needs(request.param, tmp_path)}


def settings(section: Mapping[str, object], **changes: object) -> CorpusSettings:
    adapter: TypeAdapter[CorpusSettings] = TypeAdapter(CorpusSection)
    return adapter.validate_python({**section, **changes})


def test_the_registry_s_name_is_the_kind(section: Mapping[str, object]) -> None:
    assert type(settings(section)) is CORPORA[str(section["kind"])]


def test_an_unknown_key_is_refused(section: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError, match="not permitted"):
        settings(section, sizze=1)


def test_settings_do_not_change(section: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings(section).size = 1  # type: ignore[misc]  # It is frozen, which is what is tested.


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_the_same_settings_give_the_same_texts(section: Mapping[str, object], stream: Stream) -> None:
    corpus, other = settings(section).open(), settings(section).open()
    assert stream(corpus, NEW) == stream(other, NEW)
    assert stream(corpus, NEW) == stream(corpus, NEW)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_fewer_texts_are_the_beginning_of_more(section: Mapping[str, object], stream: Stream) -> None:
    corpus = settings(section).open()
    assert stream(corpus, 0) == ()
    assert stream(corpus, 7) == stream(corpus, NEW)[:7]
    assert len(stream(corpus, NEW)) == NEW


def test_no_memory_is_loaded_or_added_twice(section: Mapping[str, object]) -> None:
    corpus = settings(section).open()
    assert corpus.size == SIZE
    contents = [memory.content for memory in (*corpus.memories(SIZE), *corpus.new_memories(NEW))]
    assert len(set(contents)) == SIZE + NEW


def test_no_question_is_given_twice(section: Mapping[str, object]) -> None:
    assert len({question.query for question in settings(section).open().queries(ASKED)}) == ASKED


def test_texts_keep_to_the_limits_of_an_add_and_a_query(section: Mapping[str, object]) -> None:
    corpus = settings(section).open()
    for memory in (*corpus.memories(SIZE), *corpus.new_memories(NEW)):
        assert 1 <= len(memory.content) <= 50_000
        assert len(memory.category or "") <= 100
        assert len(memory.source or "") <= 100
        assert len(memory.tags) <= 20
        assert all(1 <= len(tag) <= 50 for tag in memory.tags)
        assert "\0" not in memory.content
    for question in corpus.queries(ASKED):
        assert 1 <= len(question.query) <= 5_000
        assert question.conversation_id is None or 1 <= len(question.conversation_id) <= 200


def test_the_fingerprint_is_of_what_decides_the_texts(section: Mapping[str, object]) -> None:
    fingerprint = settings(section).open().fingerprint
    assert re.fullmatch("[0-9a-f]{64}", fingerprint)
    assert settings(section, tiers={"network": 1}).open().fingerprint == fingerprint
    assert settings(section, size=SIZE + 1).open().fingerprint != fingerprint


@pytest.mark.parametrize("change", [{"seed": 2}, {"near_duplicate_rate": 0.1}, {"catalyst_rate": 0.1}])
def test_every_key_of_a_generated_corpus_changes_its_fingerprint(change: Mapping[str, object]) -> None:
    section = {"kind": "generated", "size": SIZE}
    assert settings(section, **change).open().fingerprint != settings(section).open().fingerprint


def test_a_corpus_has_a_name_for_people(section: Mapping[str, object]) -> None:
    assert str(section["kind"]) in settings(section).open().name
