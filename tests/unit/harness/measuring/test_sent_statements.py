"""What counts as a statement, and how those of an operation are named."""

import pytest

from harness.measuring.sent_statements import named
from harness.measuring.server_log import LoggedStatement
from harness.measuring.sql_texts import CONTROL, bare


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN",
        "start transaction",
        "Commit",
        "/* a */ -- b\n ROLLBACK TO x",
        "SELECT pg_advisory_unlock_all()",
        "RESET ALL",
    ],
)
def test_what_controls_a_transaction_or_resets_a_session_is_no_statement(sql: str) -> None:
    assert CONTROL.match(bare(sql))


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "WITH a AS (SELECT 1) SELECT * FROM a", "/* begin */ UPDATE a SET b = 1", "SETTLE"]
)
def test_anything_else_is_one(sql: str) -> None:
    assert not CONTROL.match(bare(sql))


def test_a_statement_has_the_name_of_its_operation_or_of_its_comment_or_a_number() -> None:
    alone = LoggedStatement("SELECT 1")
    assert named("read", [alone, alone]) == {"read": alone}
    several = [
        LoggedStatement("/* name: by_id */ SELECT 1"),
        LoggedStatement("CREATE TABLE a ()"),
        LoggedStatement("SELECT 2"),
    ]
    assert named("read", several) == {"read.by_id": several[0], "read.2": several[2]}
