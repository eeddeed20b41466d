"""Sections of a scenario: what stands under a field is told by the schema, and read for nothing else."""

import ast

import pytest
from pydantic import Field

from harness.measuring.section import Section


class Plain(Section, frozen=True):
    count: int = 1
    """How many."""
    untold: int = 1
    named: int = Field(default=1, alias="as", description="Said by the field itself.")
    """Not this."""


class Further(Plain, frozen=True):
    count: int = 2
    rate: float = 1.0
    """Of what comes.

    On a second line as well.
    """


def described(section: type[Section]) -> dict[str, str | None]:
    return {name: each.get("description") for name, each in section.model_json_schema()["properties"].items()}


def test_the_docstring_under_a_field_is_its_description() -> None:
    assert described(Plain) == {"count": "How many.", "untold": None, "as": "Said by the field itself."}


def test_a_field_keeps_its_docstring_where_it_is_inherited_and_not_where_it_is_another() -> None:
    further = "Of what comes.\n\nOn a second line as well."
    assert described(Further) == {"count": None, "untold": None, "as": "Said by the field itself.", "rate": further}


def test_a_section_is_made_and_used_without_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*source: object) -> None:
        raise AssertionError(source)

    monkeypatch.setattr(ast, "parse", refuse)

    class Made(Section, frozen=True):
        count: int = 1
        """How many."""

    assert Made().count == 1
