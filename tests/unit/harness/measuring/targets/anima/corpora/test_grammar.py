"""The grammar file: its slots have values, its pronouns somebody to stand for, and only markers mark a catalyst."""

import re
from collections.abc import Iterator
from itertools import chain

import pytest

from harness.measuring.draws import Draws
from harness.measuring.targets.anima.corpora._shared.grammar import SLOT, Scene, cast, life

PERSON_SLOTS = {"person", "kin", "they", "them", "who", "i"}
MARKERS = re.compile("breakthrough|insight|realized|profound|changed everything|paradigm shift|eureka", re.IGNORECASE)


def templates() -> Iterator[str]:
    for topic in life().topics:
        yield from (*topic.openers, *topic.followups, *topic.questions)
    yield from life().closers


def slot_values() -> Iterator[str]:
    return chain.from_iterable(life().slots.values())


def slots(template: str) -> set[str]:
    return {slot[1] for slot in SLOT.finditer(template)}


def test_every_slot_has_values_and_every_value_is_used() -> None:
    used = {slot for template in (*templates(), *life().markers, *slot_values()) for slot in slots(template)}
    assert used | {"when"} == set(life().slots) | PERSON_SLOTS


def test_every_brace_belongs_to_a_slot() -> None:
    for template in (*templates(), *life().markers, *slot_values()):
        assert not set("{}") & set(SLOT.sub("", template)), template


def test_slots_of_one_kind_in_a_memory_never_run_out_of_values() -> None:
    used = {slot.groups() for template in templates() for slot in SLOT.finditer(template)}
    for kind, values in life().slots.items():
        assert len(set(values)) == len(values) > sum(kind == slot for slot, _ in used), kind


def test_a_pronoun_follows_the_person_that_it_stands_for() -> None:
    for template in templates():
        before_pronoun = re.split(r"\{(?:they|them)\}", template, maxsplit=1)
        assert len(before_pronoun) == 1 or re.search(r"\{(?:person|kin)\}", before_pronoun[0]), template


@pytest.mark.parametrize("marker", life().markers)
def test_every_marker_marks(marker: str) -> None:
    assert MARKERS.search(marker)


def test_nothing_else_marks() -> None:
    assert not [text for text in (*templates(), *slot_values()) if MARKERS.search(text)]


def test_a_life_has_one_person_for_each_relation() -> None:
    people = cast(Draws(1, "people"))
    assert len({person.name for person in people}) == len(people)
    assert len({person.relation for person in people}) == len(people) == 36


def test_a_slot_keeps_its_value_and_numbered_ones_differ() -> None:
    draws = Draws(1, "scene")
    for _ in range(200):
        scene = Scene(cast(draws), draws)
        one, same, other, person, kin = scene.sentence("{city}|{city}|{city2}|{person}|{kin}").split("|")
        assert one == same != other
        assert kin.endswith(f" {person}")


def test_a_followup_speaks_of_the_one_that_the_opener_spoke_of() -> None:
    draws = Draws(2, "scene")
    subjects = set()
    for _ in range(200):
        scene = Scene(cast(draws), draws)
        who, i, other = scene.sentence("{who}|{i}|{person}").split("|")
        assert i == ("I" if who == "I" else next(person.pronouns.they for person in scene.people if person.name == who))
        assert other != who
        subjects.add(i)
    assert subjects == {"I", "she", "he"}


def test_a_followup_without_a_subject_is_the_writer_s() -> None:
    draws = Draws(3, "scene")
    assert {Scene(cast(draws), draws).sentence("{i} slept") for _ in range(50)} == {"I slept"}
