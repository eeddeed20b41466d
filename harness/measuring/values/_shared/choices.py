"""Says what a value is chosen from: a range, a list, the rows of a statement or the lines of a file."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from pydantic import Field, JsonValue, model_validator

from harness.errors import UsageError
from harness.measuring.beside import FileBeside
from harness.measuring.values.protocol import DrawnValue, Plain

ROWS_MAX: Final = 100_000
"""Of a statement: they are kept in memory, and told to each worker."""

SHOWN_MAX: Final = 80
"""Characters of a statement in a message."""


class Choices(DrawnValue, frozen=True):
    """Exactly one of `min` and `max`, `of`, `from` and `file` says what there is to choose from."""

    min: int | float | None = None
    """The least of a range."""
    max: int | float | None = None
    """The greatest of a range, which it contains."""
    of: tuple[JsonValue, ...] | None = Field(default=None, min_length=1)
    """The values themselves."""
    from_: str | None = Field(default=None, alias="from")
    """A statement that is run once, on the prepared database; the first column of its rows is drawn."""
    file: FileBeside | None = None
    """A file with one value a line, beside the scenario."""
    rows: tuple[JsonValue, ...] | None = None
    """What the statement of `from` gave. A run fills it in; a scenario leaves it out."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = {
            "min and max": self.min is not None or self.max is not None,
            "of": self.of is not None,
            "from": self.from_ is not None,
            "file": self.file is not None,
        }
        stated = [name for name, is_stated in sources.items() if is_stated]
        if len(stated) != 1:
            raise ValueError(f"one of {', '.join(sources)} says what is drawn; stated: {', '.join(stated) or 'none'}")
        if stated == ["min and max"]:
            if self.min is None or self.max is None:
                raise ValueError("a range needs both `min` and `max`")
            if self.min > self.max:
                raise ValueError(f"min is {self.min:g}, which is more than max, {self.max:g}. Exchange them")
        return self

    @property
    def statement(self) -> str | None:
        return self.from_ if self.rows is None else None

    def with_rows(self, rows: Sequence[Plain]) -> Self:
        if not rows:
            raise UsageError(
                f"There is nothing to draw: {_short(self.from_)} gives no row on the prepared database. Correct the "
                "statement, or what `seed` loads."
            )
        if len(rows) > ROWS_MAX:
            raise UsageError(f"{_short(self.from_)} gives more than {ROWS_MAX:,} rows to draw from. Give it a LIMIT.")
        return self.model_copy(update={"rows": tuple(rows)})

    @property
    def is_one_value(self) -> bool:
        if self.statement is not None:
            return False
        if self.min is not None:
            return self.min == self.max
        values = self.values
        return all(value == values[0] for value in values)

    @property
    def values(self) -> Sequence[Plain]:
        """Says what there is to choose from, whole numbers where it is a range. Raises `UsageError` without any."""
        if self.min is not None and self.max is not None:
            return range(int(self.min), int(self.max) + 1)
        if self.of is not None:
            return self.of
        if self.file is not None:
            return lines(self.file)
        if self.rows is None:
            raise UsageError(
                f"{_short(self.from_)} is drawn from a database that is not there yet; this works in `harness run`."
            )
        return self.rows


@lru_cache
def lines(path: Path) -> tuple[str, ...]:
    """Raises `UsageError` when there is none."""
    try:
        read = tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as text, to draw its lines: {error}.") from None
    if not read:
        raise UsageError(f"{path} has no line to draw. It holds one value a line.")
    return read


def _short(statement: str | None) -> str:
    text = " ".join((statement or "").split())
    return f"`{text}`" if len(text) <= SHOWN_MAX else f"`{text[: SHOWN_MAX - 1]}…`"
