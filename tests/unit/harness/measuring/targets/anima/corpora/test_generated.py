"""Generated notes: what they read like, how often they repeat, and that they never change by accident."""

import hashlib
import re

import pytest

from harness.errors import UsageError
from harness.measuring.targets.anima.corpora import generated
from harness.measuring.targets.anima.corpora._shared.grammar import life
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings

MARKERS = re.compile("breakthrough|insight|realized|profound|changed everything|paradigm shift|eureka", re.IGNORECASE)


def contents(count: int, **changes: float) -> list[str]:
    settings = GeneratedSettings.model_validate({"size": count, **changes})
    return [memory.content for memory in settings.open().memories(count)]


def rewordings(text: str) -> set[str]:
    """All near copies that the grammar can make of it."""
    rewrites = life().near_copy_rewrites.items()
    rewritten = (text.replace(f" {phrase} ", f" {other} ", 1) for phrase, other in rewrites if f" {phrase} " in text)
    return {*rewritten, *(f"{filler} {text}" for filler in life().near_copy_fillers)}


def near_copies(texts: list[str]) -> int:
    """How many are a near copy of an earlier one."""
    earlier: set[str] = set()
    copies = 0
    for text in texts:
        copies += text in earlier
        earlier |= rewordings(text)
    return copies


def test_texts_change_only_on_purpose() -> None:
    """Runs on other texts are not compared. If this fails because the grammar was improved, state the new hash here."""
    corpus = GeneratedSettings(size=2_000, seed=1).open()
    texts = [memory.content for memory in (*corpus.memories(2_000), *corpus.new_memories(500))]
    texts += [question.query for question in corpus.queries(500)]
    assert (
        hashlib.sha256("\n".join(texts).encode()).hexdigest()
        == "82cd56020008dbd2bea3b36f111e091c1fe8e076cd9fe8e9129c578f9dd88ca4"
    )


def test_notes_are_a_sentence_or_a_few() -> None:
    texts = contents(3_000)
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) >= 8
    assert max(lengths) <= 45
    assert all(text.endswith(".") and text[0].isupper() for text in texts)
    assert not [text for text in texts if re.search(r"[{}]|  |\.\.", text)]


def test_notes_speak_of_the_writer_and_of_others_in_every_part_of_a_life() -> None:
    corpus = GeneratedSettings(size=1_000).open()
    memories = corpus.memories(1_000)
    assert {memory.category for memory in memories} == {topic.category for topic in life().topics}
    writer = sum(" I " in f" {memory.content}" for memory in memories)
    assert 300 < writer < 700
    assert all(memory.source and memory.tags for memory in memories)


def test_questions_are_about_the_people_of_the_notes() -> None:
    corpus = GeneratedSettings(size=1_000, seed=5).open()
    names = {name for people in life().people.values() for name in people.names}
    told = {word for memory in corpus.memories(1_000) for word in re.findall(r"\w+", memory.content)} & names
    asked = {word for question in corpus.queries(1_000) for word in re.findall(r"\w+", question.query)} & names
    assert told == asked
    assert len(told) == 36


def test_another_seed_is_another_life() -> None:
    assert not set(contents(500, seed=1)) & set(contents(500, seed=2))


@pytest.mark.parametrize(("rate", "at_least", "at_most"), [(0.0, 0, 0), (0.02, 35, 70), (0.5, 1_150, 1_300)])
def test_earlier_notes_are_repeated_at_the_stated_rate(rate: float, at_least: int, at_most: int) -> None:
    assert at_least <= near_copies(contents(2_500, near_duplicate_rate=rate)) <= at_most


def test_even_the_highest_rate_gives_distinct_notes() -> None:
    settings = GeneratedSettings(size=1, near_duplicate_rate=0.5)
    for seed in range(20):
        new = settings.model_copy(update={"seed": seed}).open().new_memories(100)
        assert len({memory.content for memory in new}) == 100


@pytest.mark.parametrize(("rate", "at_least", "at_most"), [(0.0, 0, 0), (0.1, 200, 400), (1.0, 3_000, 3_000)])
def test_markers_come_at_the_stated_rate_and_half_are_declared(rate: float, at_least: int, at_most: int) -> None:
    memories = GeneratedSettings(size=3_000, catalyst_rate=rate).open().memories(3_000)
    marked = [memory for memory in memories if MARKERS.search(memory.content)]
    declared = [memory for memory in memories if memory.is_catalyst]
    assert at_least <= len(marked) <= at_most
    assert set(declared) <= set(marked)
    assert 0.4 * len(marked) <= len(declared) <= 0.6 * len(marked)


def test_a_grammar_without_more_to_say_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "ATTEMPTS_MAX", 1)
    with pytest.raises(UsageError, match=r"no more distinct texts to give\. Ask for fewer"):
        GeneratedSettings(size=1).open().queries(5_000)
