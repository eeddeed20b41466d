"""What two readings come to."""

from harness.measuring.observation import Reading, take_reading
from harness.measuring.probes.protocol import Observable
from harness.measuring.surroundings import not_ours, nothing_seen


def test_counters_are_differences_and_levels_are_not() -> None:
    before = Reading({"wal_bytes": 100.0, "client_memory_bytes": 50.0})
    after = Reading({"wal_bytes": 140.0, "client_memory_bytes": 30.0})
    assert after.since(before).values == {"wal_bytes": 40.0, "client_memory_bytes": 30.0}


def test_what_was_missing_once_is_missing() -> None:
    before = Reading({}, {"wal_bytes": "the server did not say it"})
    after = Reading({"wal_bytes": 140.0})
    assert after.since(before) == Reading({}, {"wal_bytes": "the server did not say it"})
    assert before.since(after) == Reading({}, {"wal_bytes": "the server did not say it"})


def test_a_counter_that_fell_was_begun_anew() -> None:
    counted = Reading({"server_cpu_s": 1.0}).since(Reading({"server_cpu_s": 7.0}))
    assert counted.values == {}
    assert counted.missing == {"server_cpu_s": "the server began to count anew meanwhile"}


def test_slices_of_a_phase_add_up() -> None:
    first = Reading({"wal_bytes": 100.0, "client_memory_bytes": 50.0})
    second = Reading({"wal_bytes": 40.0, "client_memory_bytes": 30.0})
    assert Reading().plus(first).plus(second).values == {"wal_bytes": 140.0, "client_memory_bytes": 30.0}


def test_what_was_missing_in_one_slice_is_missing_of_them_all() -> None:
    seen, unseen = Reading({"wal_bytes": 100.0}), Reading({}, {"wal_bytes": "the server did not say it"})
    assert seen.plus(unseen) == unseen.plus(seen) == unseen


def test_what_only_one_of_them_counted_is_not_lost() -> None:
    sent, waits = Reading({"sent_statements": 20.0}), Reading({"waits ClientRead": 3.0})
    assert sent.plus(waits).values == waits.plus(sent).values == {**sent.values, **waits.values}


async def test_of_a_database_that_is_not_the_run_s_nothing_is_told() -> None:
    async def flush() -> bool:
        return True

    reading = await take_reading(Observable(not_ours, "none", nothing_seen, flush, nothing_seen), "whole", before=False)
    counted = {"rows_read", "rows_written", "blocks_read", "wal_bytes", "server_cpu_s", "service_cpu_s"}
    assert counted <= set(reading.missing)
    assert counted.isdisjoint(reading.values)
