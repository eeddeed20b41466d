from typing import Any

from harness.judging.profile_differences import differences
from harness.record import LockWaitRecord, ProfileRecord, RunRecord, StatementProfile
from harness.showing.profile_tables import (
    lock_waits_table,
    statement_parts_table,
    statement_profile_table,
    waits_table,
    waterfall_tables,
)
from harness.showing.summary import summarise
from tests.records import record, sample, samples, variant


def test_before_and_after_stand_side_by_side_with_the_largest_part_first() -> None:
    seen = record(
        variant(
            "naive",
            [sample(service_time_s=0.5, elapsed_s={"association.record": 0.4}, calls={"association.record": 190})],
        ),
        variant("batched", [sample(service_time_s=0.1, elapsed_s={"query.search": 0.05}, calls={"query.search": 1})]),
        scenario={"operations": ["query"], "strategies": ["naive", "batched"], "latency": {"database_rtt_ms": 0}},
    )
    (table,) = waterfall_tables(seen, summarise(seen))
    assert [column.title for column in table.columns] == ["Part", "naive", "batched"]
    assert [cell.text for cell in table.rows[0]] == ["association.record", "400 ms", "\N{EN DASH}"]
    assert [cell.text for cell in table.rows[-1]] == ["whole", "500 ms", "100 ms"]


def waited(variant_name: str, waits: dict[str, int]) -> ProfileRecord:
    return ProfileRecord(
        variant=variant_name, operation="query", round=1, requests=1, profiled_s=0.01, plain_s=0.01, waits=waits
    )


def run(**fields: Any) -> RunRecord:
    return record(variant("naive", samples([0.07])), variant("batched", samples([0.01]))).model_copy(update=fields)


def test_what_sessions_waited_for_is_told_as_shares() -> None:
    waits = waited("naive", {"Client: ClientRead": 9, "processor": 1}), waited("batched", {"processor": 4})
    table = waits_table(differences(run(profiles=waits)))
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["query", "processor", "10%", "100%"],
        ["query", "Client: ClientRead", "90%", "\N{EN DASH}"],
    ]


def test_locks_are_told_with_who_waited_and_who_held_them() -> None:
    def locked(variant_name: str, looks: int) -> ProfileRecord:
        wait = LockWaitRecord(
            waiting="UPDATE a",
            lock="transactionid ShareLock",
            holding="UPDATE b",
            state="idle in transaction",
            looks=looks,
        )
        return waited(variant_name, {}).model_copy(update={"lock_waits": (wait,)})

    profiles = locked("naive", 3), locked("naive", 4), waited("batched", {})
    table = lock_waits_table(differences(run(profiles=profiles)))
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["query", "UPDATE a", "transactionid ShareLock", "UPDATE b (idle in transaction)", "7", "0"],
    ]


def statement(variant_name: str, **fields: Any) -> StatementProfile:
    costs = {"planning_ms": 0.1, "execution_ms": 2.0, "rows": 5, "blocks_hit": 8, "blocks_read": 2, "wal_bytes": 0}
    return StatementProfile(variant=variant_name, **{"statement": "query.search", **costs, **fields})


def test_a_statement_is_split_into_what_the_server_takes_and_the_rest() -> None:
    waiting = sample(service_time_s=0.1, elapsed_s={"query.search": 0.05}, calls={"query.search": 2})
    seen = record(
        variant("batched", [waiting]),
        scenario={"operations": ["query"], "strategies": ["batched"], "latency": {"database_rtt_ms": 5}},
        statement_profiles=(statement("batched", execution_ms=4.0, planning_ms=1.0),),
    )
    table = statement_parts_table(seen, summarise(seen))
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["query", "batched", "query.search", "2", "40.0 ms", "8.00 ms", "2.00 ms", "30.0 ms"]
    ]


def test_an_index_that_the_other_variant_uses_is_missed() -> None:
    profiles = (statement("naive", scans=("memories",)), statement("batched", indexes=("memories_embedding_idx",)))
    table = statement_profile_table(run(statement_profiles=profiles), ("naive", "batched"))
    assert table is not None
    naive, batched = table.rows
    assert (naive[-1].text, naive[-1].tone) == ("every row of memories", "bad")
    assert (batched[-1].text, batched[-1].tone) == ("memories_embedding_idx", "plain")
    assert naive[5].text == "10"
