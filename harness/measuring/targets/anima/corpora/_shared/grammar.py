"""The grammar of a person's notes: the sentences of `grammar.toml`, and what fills their slots."""

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Final

from harness.measuring.draws import Draws
from harness.record import Frozen

SLOT: Final = re.compile(r"\{([a-z_]+)(\d?)\}")

FIRST_PERSON_SHARE: Final = 0.6

Phrases = tuple[str, ...]


class Topic(Frozen):
    """Says what can be said and asked about one part of a life. An opener may be followed by any of the follow-ups."""

    category: str
    tags: Phrases
    sources: Phrases
    openers: Phrases
    followups: Phrases
    questions: Phrases


class Pronouns(Frozen):
    they: str
    them: str


class People(Frozen):
    names: Phrases
    relations: Phrases
    pronouns: Pronouns


class Grammar(Frozen):
    closers: Phrases
    markers: Phrases
    near_copy_fillers: Phrases
    near_copy_rewrites: dict[str, str]
    people: dict[str, People]
    slots: dict[str, Phrases]
    topics: tuple[Topic, ...]


@cache
def life() -> Grammar:
    text = (
        resources.files("harness.measuring.targets.anima.corpora._shared")
        .joinpath("grammar.toml")
        .read_text(encoding="utf-8")
    )
    return Grammar.model_validate(tomllib.loads(text))


class Person(Frozen):
    name: str
    relation: str
    pronouns: Pronouns

    def slots(self) -> dict[str, str]:
        return {"person": self.name, "kin": f"{self.relation} {self.name}", **self.pronouns.model_dump()}


def cast(draws: Draws) -> tuple[Person, ...]:
    """The people of one life: a name for each relation, nobody twice."""
    return tuple(
        Person(name=name, relation=relation, pronouns=people.pronouns)
        for people in life().people.values()
        for name, relation in zip(_shuffled(people.names, draws), people.relations, strict=False)
    )


def _shuffled(values: Phrases, draws: Draws) -> Phrases:
    return tuple(sorted(values, key=lambda _: draws.fraction()))


class Scene:
    """Says what the slots of one text stand for: each is bound where it first occurs, and no two to the same value."""

    def __init__(self, people: tuple[Person, ...], draws: Draws) -> None:
        self.people = people
        self._draws = draws
        self.bound: dict[str, str] = {}

    def sentence(self, template: str) -> str:
        text = self._fill(template)
        return text[0].upper() + text[1:]

    def _fill(self, template: str) -> str:
        return SLOT.sub(self._value, template)

    def _value(self, slot: re.Match[str]) -> str:
        if slot[0] not in self.bound:
            self._bind(kind=slot[1], digit=slot[2])
        return self.bound[slot[0]]

    def _bind(self, kind: str, digit: str) -> None:
        match kind:
            case "person" | "kin" | "they" | "them":
                person = self._stranger().slots()
                self.bound |= {f"{{{name}{digit}}}": value for name, value in person.items()}
            case "who":
                self.bound |= self._subject()
            case "i":
                self.bound["{i}"] = "I"
            case _:
                self.bound[f"{{{kind}{digit}}}"] = self._other(life().slots[kind])

    def _subject(self) -> dict[str, str]:
        if self._draws.chance(FIRST_PERSON_SHARE):
            return {"{who}": "I", "{i}": "I"}
        person = self._stranger()
        return {"{who}": person.name, "{i}": person.pronouns.they}

    def _stranger(self) -> Person:
        while (person := self._draws.pick(self.people)).name in self.bound.values():
            pass
        return person

    def _other(self, values: Phrases) -> str:
        while (value := self._fill(self._draws.pick(values))) in self.bound.values():
            pass
        return value
