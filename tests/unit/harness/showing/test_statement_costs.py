"""What the server spent on a statement: who says so, and what is left out."""

from typing import Any

import pytest

from harness.record import ProfileRecord, RunRecord, ServerStatement, StatementProfile
from harness.showing.profile_tables import statement_profile_table
from harness.showing.statement_costs import statement_costs
from tests.records import record, variant


def seen(query_id: int, calls: int, elapsed_ms: float, text: str = "SELECT 1") -> ServerStatement:
    return ServerStatement(
        query_id=query_id,
        text=text,
        calls=calls,
        rows=20 * calls,
        elapsed_ms=elapsed_ms,
        blocks_hit=3 * calls,
        blocks_read=calls,
        wal_bytes=100,
    )


def profile(*statements: ServerStatement, **fields: Any) -> ProfileRecord:
    values: dict[str, Any] = {"variant": "batched", "operation": "query", "round": 1, "requests": 4} | fields
    return ProfileRecord(profiled_s=0.1, plain_s=0.1, server_statements=statements, **values)


def explained(statement: str, query_id: int | None) -> StatementProfile:
    return StatementProfile(
        variant="batched",
        statement=statement,
        query_id=query_id,
        planning_ms=0.5,
        execution_ms=9.0,
        rows=7,
        blocks_hit=8,
        blocks_read=2,
        wal_bytes=4,
    )


def run(*profiles: ProfileRecord, statements: tuple[StatementProfile, ...] = ()) -> RunRecord:
    return record(variant("naive"), variant("batched"), profiles=profiles, statement_profiles=statements)


def test_counted_executions_of_all_rounds_stand_before_the_one_of_explain() -> None:
    rounds = profile(seen(5, 3, 6.0)), profile(seen(5, 1, 4.0), round=2), profile(seen(5, 9, 900.0), variant="naive")
    found = run(*rounds, statements=(explained("query.search", 5), explained("add.insert", 6), explained("old", None)))
    search, insert, old = statement_costs(found, "batched")
    assert (search.statement, search.calls, search.execution_ms, search.rows) == ("query.search", 4, 2.5, 20)
    assert (search.blocks_hit, search.blocks_read, search.wal_bytes) == (3, 1, 50)
    assert search.planning_ms == pytest.approx(0.5)
    for each in (insert, old):
        assert (each.calls, each.execution_ms, each.rows) == (None, 9.0, 7)


def test_a_statement_that_nobody_named_goes_by_its_text_unless_it_takes_next_to_nothing() -> None:
    found = run(profile(seen(1, 1, 99.5, text="SELECT long " * 20), seen(2, 1, 0.5, text="BEGIN")))
    (unnamed,) = statement_costs(found, "batched")
    assert unnamed.statement == ("SELECT long " * 20)[:60]
    assert unnamed.planning_ms is None


def test_the_table_says_who_said_so() -> None:
    table = statement_profile_table(
        run(profile(seen(5, 4, 8.0)), statements=(explained("a", 5), explained("b", None))), ("naive", "batched")
    )
    assert table is not None
    source = [column.title for column in table.columns].index("Source")
    assert {row[1].text: row[source].text for row in table.rows} == {"a": "4 calls", "b": "EXPLAIN"}
