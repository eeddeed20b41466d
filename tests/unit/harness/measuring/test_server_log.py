"""What is read of a server's log: whose errors, and which statements with which values."""

import pytest

from harness.measuring.server_log import LoggedStatement, LogPart, ServerLog
from harness.measuring.sql_texts import split

LOG = b"""\
2026-01-01 00:00:00.000 UTC [1] LOG:  database system is ready to accept connections
2026-01-01 00:00:00.001 UTC [2] <a shop 00000> LOG:  execute __asyncpg_stmt_7__: SELECT *
\tFROM notes WHERE author = $1 AND text = $2
2026-01-01 00:00:00.002 UTC [2] <a shop 00000> DETAIL:  Parameters: $1 = NULL, $2 = 'it''s, $3 = ''
\tmore'
2026-01-01 00:00:00.003 UTC [2] <a shop 00000> LOG:  execute fetch from __asyncpg_stmt_7__: SELECT *
2026-01-01 00:00:00.004 UTC [3] <another 22012> ERROR:  division by zero
2026-01-01 00:00:00.005 UTC [2] <a shop 23505> ERROR:  duplicate key value
2026-01-01 00:00:00.005 UTC [2] <a shop 23505> DETAIL:  Key (id)=(1) already exists.
2026-01-01 00:00:00.005 UTC [2] <a shop 23505> STATEMENT:  INSERT INTO notes
2026-01-01 00:00:00.006 UTC [2] <a shop 25P02> ERROR:  current transaction is aborted
2026-01-01 00:00:00.007 UTC [2] <a shop 40P01> ERROR:  deadlock detected
2026-01-01 00:00:00.008 UTC [2] <a shop 00000> LOG:  statement: BEGIN; SELECT ';' -- one; two
\t; COMMIT
"""


async def test_only_what_concerns_the_database_is_taken() -> None:
    async def read_on(position: int | None) -> LogPart:
        return (b"", 0) if position is None else (LOG[position:], len(LOG))

    log = ServerLog(read_on, "a shop")
    assert await log.failed() == 0
    assert await log.failed() == 1
    assert await log.failed() == 1, "what was read is not read again"
    assert log.last_failure == "duplicate key value"
    assert log.statements == [
        LoggedStatement("SELECT *\nFROM notes WHERE author = $1 AND text = $2", "NULL, 'it''s, $3 = ''\nmore'"),
        LoggedStatement("BEGIN"),
        LoggedStatement("SELECT ';' -- one; two"),
        LoggedStatement("COMMIT"),
    ]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT $a$;$a$, ';;', \"a;b\" /* ; */; SELECT 2", ["SELECT $a$;$a$, ';;', \"a;b\" /* ; */", "SELECT 2"]),
        (";;", []),
    ],
)
def test_statements_that_are_sent_at_once_are_told_apart(text: str, statements: list[str]) -> None:
    assert list(split(text)) == statements
