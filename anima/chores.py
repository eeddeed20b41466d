"""Work that needs no acceptance, since a table says what is left: done in batches that commit by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from anima.database import Session, Statement

FOLD: Final = "fold"
REKEY: Final = "rekey"


@dataclass(frozen=True, slots=True)
class Chore:
    """`perform` takes the size of a batch and gives the number done; none where another process does it now."""

    perform: Statement
    count_left: Statement
    batch: int

    async def do(self, session: Session) -> int:
        return await _number(session, self.perform, self.batch)

    async def left(self, session: Session) -> int:
        return await _number(session, self.count_left)


async def _number(session: Session, statement: Statement, *arguments: int) -> int:
    row = await session.fetch_row(statement, *arguments)
    assert row is not None, "a function always gives a row"
    return int(row[0])


APART: Final[Mapping[str, Chore]] = {
    FOLD: Chore(
        Statement("fold.recalls", "SELECT fold_recalls($1)"),
        Statement("fold.left", "SELECT count(*) FROM memory_recalls", reads=True),
        batch=50,
    ),
    REKEY: Chore(
        Statement("rekey.memories", "SELECT rekey_memories($1)"),
        Statement("rekey.left", "SELECT count(*) FROM memory_keys_due", reads=True),
        batch=20,
    ),
}
"""Where what changes often lives apart: fold recalls, and renew the keys that phi has left behind."""
