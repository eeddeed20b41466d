"""The table of peers: what may be compared, what is ranked, and what is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from peers import table
from peers.table import Figures, Load

from harness.errors import UsageError
from harness.record import PlanRecord, PlanStep
from tests import records

ROOT = Path(__file__).parents[4]
ALIKE = {"rows": 10_000.0, "texts": 7.0, "dimensions": 768.0, "distance": 0.0}


def figures(variant: str, p50_ms: float, recall: float | None = 0.99, operation: str = "search") -> Figures:
    times = Load(p50_ms, 2 * p50_ms, 100.0, 1.0, 2.0, 3.0, 0, 20.0)
    return Figures(variant, operation, {1: times, 8: times}, 1.0, "hnsw", recall)


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("rows", 9_999.0, "number of memories is not the same: one 10000, other 9999"),
        ("texts", 8.0, "memories is not the same: one 7, other 8"),
        ("dimensions", 384.0, "dimensions of the vectors is not the same: one 768, other 384"),
        ("distance", 1.0, "measure of distance is not the same: one 0, other 1"),
    ],
)
def test_unlike_data_dimensions_and_distances_refuse_to_be_compared(key: str, value: float, meant: str) -> None:
    with pytest.raises(UsageError, match=meant):
        table.refuse_unlike({"one": ALIKE, "other": ALIKE | {key: value}})


def test_what_a_target_does_not_tell_is_not_taken_for_alike() -> None:
    with pytest.raises(UsageError, match="one 10000, other unknown"):
        table.refuse_unlike({"one": ALIKE, "other": {}})


def test_alike_are_compared() -> None:
    table.refuse_unlike({"one": ALIKE, "other": dict(ALIKE)})


def test_a_latency_whose_recall_is_another_is_marked_and_has_no_rank() -> None:
    found = [figures("careful", 9), figures("middle", 5), figures("plain", 7), figures("hasty", 1, recall=0.96)]
    assert table.unlike_in_recall(found) == {"hasty"}
    assert table.ranks(found, users=1) == {"middle": 1, "plain": 2, "careful": 3}
    assert "| hasty † | - |" in table.markdown([found])


def test_a_recall_at_the_margin_is_ranked() -> None:
    found = [figures("careful", 9), figures("middle", 5), figures("quick", 1, recall=0.97)]
    assert table.ranks(found, users=1) == {"quick": 1, "middle": 2, "careful": 3}


def test_the_ranks_of_all_runs_stand_beside_each_other() -> None:
    runs = [[figures("one", 1), figures("other", 2)], [figures("one", 3), figures("other", 2)]]
    assert "| other | 2, 1 |" in table.markdown(runs)
    assert "| one | 1, 2 |" in table.markdown(runs)


def test_adds_have_no_recall_and_are_ranked_all_the_same() -> None:
    assert table.ranks([figures("one", 2, None, "add"), figures("other", 1, None, "add")], users=8) == {
        "other": 1,
        "one": 2,
    }


def variant(name: str, results: Sequence[int], pool: Mapping[str, float], **fields: Any) -> Any:
    found = tuple(
        records.sample("search", 0.001 * (number + 1), phase="search by 1", results=count)
        for number, count in enumerate(results)
    )
    counters = {"timed_client_cpu_s": 0.02, "server_cpu_s": 0.04, "wal_bytes": 10_000.0}
    phases = (
        records.phase("search by 1", workload="search", users=1, started=len(found), ended_s=2.0, counters=counters),
        records.phase("search alone", workload="search", users=1, started=20, counters={"sent_statements": 60.0}),
    )
    return records.variant(name, found, phases=phases, pool=pool, **fields)


def test_fewer_rows_than_asked_are_a_figure() -> None:
    asked = ALIKE | {"recall_search": 0.25}
    [[found]] = table.figures_of(records.record(variant("five", [5, 5, 5, 5], asked)))
    times = found.loads[1]
    assert (times.results, times.errors, found.recall, found.statements) == (5, 0, 0.25, 3)
    assert (times.p50_ms, times.per_s) == (pytest.approx(2), 2)
    assert (times.client_cpu_ms, times.server_cpu_ms, times.wal_kb) == (5, 10, 2.5)


def test_records_of_unlike_variants_make_no_table() -> None:
    one, other = variant("one", [20], ALIKE), variant("other", [20], ALIKE | {"rows": 1.0})
    with pytest.raises(UsageError, match="the number of memories is not the same"):
        table.figures_of(records.record(one, other))


@pytest.mark.parametrize(
    ("root", "said"),
    [
        (PlanStep(node_type="Index Scan", index="notes_embedding", access_method="hnsw"), "hnsw"),
        (PlanStep(node_type="Limit", steps=(PlanStep(node_type="Seq Scan", relation="notes"),)), "none: every row"),
        (
            PlanStep(
                node_type="Sort", steps=(PlanStep(node_type="Index Scan", index="by_tenant", access_method="btree"),)
            ),
            "none: by_tenant",
        ),
        (PlanStep(node_type="Function Scan", relation="find_memories"), "in a function"),
    ],
)
def test_the_index_of_a_plan_is_told(root: PlanStep, said: str) -> None:
    assert table.index_of([PlanRecord(statement="search", root=root)]) == said


def test_what_was_not_planned_is_not_told() -> None:
    assert table.index_of([]) == "-"


def test_behaviours_are_a_table_of_their_own() -> None:
    told = {"one": {"version": "1.0", "written_by_a_search": [], "duplicates": 7, "refused": 0, "lost": 0}}
    assert "| one | 1.0 | nothing | 7 | 0 | 0 |" in table.behaviours_markdown(told)


def test_figures_are_the_same_after_a_file() -> None:
    found = figures("one", 2)
    assert table.figures_from(json.loads(json.dumps(asdict(found)))) == found


def test_what_is_not_offered_stands_in_no_table() -> None:
    refused = records.sample("search", phase="search by 1", error="not offered")
    phases = (records.phase("search by 1", workload="search", users=1),)
    found = table.figures_of(records.record(records.variant("frontier", [refused], phases=phases, pool=ALIKE)))
    assert found == [[]]


@pytest.mark.parametrize(
    ("name", "facts"), {"10000": (10_000, 0, 3), "100000": (100_000, 0, 3), "50ms": (10_000, 50, 1)}.items()
)
def test_the_page_has_the_tables_of_the_committed_figures(name: str, facts: tuple[int, int, int]) -> None:
    page = (ROOT / "docs/peers.md").read_text(encoding="utf-8")
    document = json.loads((ROOT / f"docs/peers.{name}.json").read_text(encoding="utf-8"))
    runs = [[table.figures_from(each) for each in run] for run in document["runs"]]
    assert (document["size"], document["embedding_ms"], len(runs)) == facts
    assert table.markdown(runs) in page
    if behaviours := document["behaviours"]:
        assert table.behaviours_markdown(behaviours) in page
