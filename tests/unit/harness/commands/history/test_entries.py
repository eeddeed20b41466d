"""The lines of a history: what a run leaves, appended whole, read back, and refused with file and line."""

import json
import multiprocessing
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from harness.commands.history.entries import HistoryEntry, append, entry_of, read
from harness.errors import HarnessError, UsageError
from harness.judging.waivers import Waiver
from harness.record import INTERRUPTED, EnvironmentRecord
from tests.records import guide_record, record, samples, variant


def entry(run_id: str = "a", **fields: object) -> HistoryEntry:
    measured = variant("batched", samples([0.1, 0.2, 0.3], statements=3))
    return entry_of(record(measured, run_id=run_id, **({"scenario": {"name": "shop"}} | fields)), "abc123")


def test_a_run_leaves_its_times_and_counts_per_variant_and_operation() -> None:
    assert entry().metrics == {
        "batched": {
            "query": {
                "requests": 3,
                "errors": 0,
                "p50_s": 0.2,
                "p95_s": 0.3,
                "mean_s": 0.2,
                "statements": 3,
                "statements_max": 3,
            }
        }
    }
    assert (entry().revision, entry().scenario, entry().outcome) == ("abc123", "shop", "PASS")


def test_a_run_of_somebody_s_own_service_has_a_place_under_its_own_operations() -> None:
    scenario = {
        "name": "notes",
        "target": "http",
        "service": {"url": "http://127.0.0.1:8000"},
        "operations": {"create": {"method": "POST", "path": "/notes"}, "newest": {"path": "/notes"}},
        "strategies": ["current"],
    }
    asked = [*samples([0.1, 0.3, 0.2], "newest"), *samples([0.5], "create")]
    environment = EnvironmentRecord(
        host={"cpu": "Example"},
        software={},
        server={"provisioner": "absent", "postgres_version": "none", "pgvector_version": "none"},
    )
    kept = entry_of(record(variant("current", asked), scenario=scenario, environment=environment), None)
    assert {name: each["p50_s"] for name, each in kept.metrics["current"].items()} == {"newest": 0.2, "create": 0.5}
    assert "statements" not in kept.metrics["current"]["newest"]
    assert kept.scenario == "notes"


def test_known_texts_stand_apart_where_an_operation_had_both() -> None:
    operations = entry_of(guide_record(), None).metrics["batched"]
    assert list(operations) == ["bootstrap", "add", "add{text=known}", "query", "query{text=known}"]
    assert operations["add{text=known}"]["p95_s"] < operations["add"]["p95_s"]


def test_a_quantile_among_failed_requests_is_left_out() -> None:
    mixed = variant("batched", [*samples([0.1]), *samples([0.1] * 3, error="timeout")])
    metrics = entry_of(record(mixed), None).metrics["batched"]["query"]
    assert metrics == {"requests": 4, "errors": 3, "mean_s": 0.1}


def test_a_partial_run_has_no_place() -> None:
    with pytest.raises(UsageError, match=r"has no place in a history. .* partial"):
        entry_of(guide_record(state="partial", interruption=INTERRUPTED), None)


def test_circumstances_are_those_of_host_server_corpus_and_scenario() -> None:
    other_host = EnvironmentRecord(host={"cpu": "Another"}, software={}, server={})
    assert entry().circumstances == entry("b").circumstances
    assert entry().circumstances == entry(scenario={"name": "shop", "title": "Renamed"}).circumstances
    unlike = [
        entry(environment=other_host),
        entry(corpus={"name": "file"}),
        entry(scenario={"name": "shop", "seed": 2}),
    ]
    assert len({each.circumstances for each in (entry(), *unlike)}) == 4


def test_software_may_change_within_one_series() -> None:
    environment = record(variant()).environment
    newer = environment.model_copy(update={"software": {"asyncpg": "99"}})
    assert entry(environment=newer).circumstances == entry().circumstances


def test_a_line_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append(path, entry("a"))
    append(path, entry("b"))
    assert read(path) == (entry("a"), entry("b"))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")) for line in lines)


def test_a_last_line_without_an_end_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append(path, entry("a"))
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    append(path, entry("b"))
    assert [each.run_id for each in read(path)] == ["a", "b"]


def append_many(path: Path, name: str) -> None:
    for number in range(50):
        append(path, entry(f"{name}-{number}"))


@pytest.mark.slow
def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(read(path)) == 100


def test_a_merge_may_leave_lines_twice_and_out_of_order(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    early, late = entry("early"), entry("late", started_at=datetime(2026, 2, 1, tzinfo=UTC))
    for each in (late, early, late):
        append(path, each)
    assert [each.run_id for each in read(path)] == ["early", "late"]


@pytest.mark.parametrize("broken", ["<<<<<<< HEAD", '{"run_id": "x"', "{}", '{"schema_version": 2}'])
def test_a_broken_line_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "history.jsonl"
    append(path, entry("a"))
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{broken}\n")
    with pytest.raises(UsageError, match=r"history\.jsonl:3: not a run of a history .* Remove or correct this line"):
        read(path)


def test_a_history_that_is_not_there_says_how_to_begin_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`harness history add` begins one"):
        read(tmp_path / "history.jsonl")


def test_a_history_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"could not be written \(Is a directory\)"):
        append(tmp_path, entry())


def test_a_full_disk_is_told_with_what_it_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_descriptor: int, line: bytes) -> int:
        return len(line) // 2

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(HarnessError, match="the disk is full, and the last line is broken"):
        append(tmp_path / "history.jsonl", entry())


@pytest.mark.parametrize("inside", ["\u2028", "\x85"])
def test_only_a_line_feed_ends_an_entry_and_the_mark_of_an_editor_is_part_of_none(tmp_path: Path, inside: str) -> None:
    path = tmp_path / "history.jsonl"
    odd = entry_of(guide_record(), f"fix{inside}2")
    append(path, odd)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(path) == (odd,)


def test_a_waived_budget_does_not_fail_a_run_in_the_history() -> None:
    scenario = {"name": "shop", "strategies": ["batched"], "budgets": ["query.statements <= 2"]}
    slow = record(variant("batched", samples([0.1, 0.2, 0.3], statements=3)), scenario=scenario)
    waiver = Waiver(
        scenario="shop", budget="query.statements <= 2", reason="soon", owner="ana", expires=date(2099, 1, 1)
    )
    assert entry_of(slow, None).outcome == "FAIL"
    assert entry_of(slow, None, [waiver]).outcome == "PASS WITH WAIVERS"
    assert entry_of(slow, None, [waiver.model_copy(update={"scenario": "other"})]).outcome == "FAIL"
