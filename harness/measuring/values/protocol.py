"""The seam of a value that is drawn for each request, such as a customer's id; the same for every variant of a run."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self

from pydantic import ConfigDict

from harness.measuring.draws import Draws
from harness.measuring.section import Section

Plain = Any
"""A value as JSON has it: text, a number, a truth value, null, or a list or object of these."""


class DrawnValue(Section, frozen=True):
    """Tells what a scenario says of one drawn value, under the name of its kind."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    @abstractmethod
    def stream(self, draws: Draws) -> Iterator[Plain]:
        """One value after another, without an end. Raises `UsageError` where there is nothing to draw from."""

    @property
    def statement(self) -> str | None:
        """Says what has to be run once, on the prepared database, before anything can be drawn."""
        return None

    def with_rows(self, rows: Sequence[Plain]) -> Self:
        """With what its statement gave."""
        del rows
        return self

    @property
    def is_one_value(self) -> bool:
        """Says whether every request gets the same."""
        return False
