"""What a gate says of two sides whose difference is known: a regression of each kind, and none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from harness.errors import ExitCode
from harness.judging.analysis.paired import Difference, Word
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import MetricComparison
from harness.judging.gate import GateVerdict, doubted_places, gate_recalls, judge_gate, latency_findings
from harness.judging.gate_findings.protocol import GatePair
from harness.record import INTERRUPTED, LevelsRecord, PlanRecord, PlanStep, RunRecord, VariantRecord
from tests.records import phase, record, sample, variant

PAIR = GatePair("300 memories", "base", "candidate")
COPIES = 6
REQUESTS = 4


@dataclass(frozen=True)
class SideAt:
    """What one side comes to, for each request and phase."""

    request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    counters: Mapping[str, float] = field(default_factory=dict[str, float])
    time_s: float = 0.010
    elapsed_s: Mapping[str, float] = field(default_factory=lambda: {"search": 0.004})
    users: int = 1
    copies: int = COPIES
    kept: Callable[[int], float] = lambda number: 500 * (number % 3)
    """What the requests of the phase with this number have left in memory."""
    level: str = "client_kept_bytes"
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])


def side(name: str, at: SideAt, rounds: int = 1) -> VariantRecord:
    """Times differ a little from phase to phase, as they do."""
    request = {"statements": 3, "round_trips": 5, "rows": 20, "calls": {"search": 1}, **at.request}
    counters = {"wal_bytes": 4_000.0, "client_cpu_s": 0.008, "table_rows memories": 400.0, **at.counters}
    samples = [
        sample(
            "query",
            at.time_s + 0.0001 * (number % 3),
            round=turn,
            phase=f"query {number}",
            elapsed_s={name: time_s + 0.00005 * (number % 3) for name, time_s in at.elapsed_s.items()},
            **request,
        )
        for turn in range(1, rounds + 1)
        for number in range(at.copies)
        for _ in range(REQUESTS)
    ]
    phases = [
        phase(
            f"query {number}",
            workload="query",
            round=turn,
            started=REQUESTS,
            users=at.users,
            counters=counters,
            memory=(LevelsRecord(at_s=(0.0, 1.0), values={at.level: (5e7, 5e7 + at.kept(number))}),),
        )
        for turn in range(1, rounds + 1)
        for number in range(at.copies)
    ]
    return variant(name, samples, phases=tuple(phases), **at.fields)


def gated(candidate: SideAt, base: SideAt | None = None, rounds: int = 1, **fields: Any) -> GateVerdict:
    return judge_gate(both(candidate, base, rounds, **fields), [PAIR])


def both(candidate: SideAt, base: SideAt | None = None, rounds: int = 1, **fields: Any) -> RunRecord:
    return record(side("base", base or SideAt(), rounds), side("candidate", candidate, rounds), **fields)


def test_what_is_the_same_passes_and_says_so() -> None:
    verdict = gated(SideAt())
    assert verdict.outcome is Outcome.PASS
    assert verdict.exit_code == ExitCode.PASS
    assert verdict.findings == ()
    assert verdict.sentence == "Nothing is worse than the base."


PLANTED = {
    "one more statement per result": (
        SideAt({"statements": 23, "calls": {"search": 1, "access.touch": 20}}),
        "query statements",
        "access.touch 0 → 20",
    ),
    "an extra round trip": (SideAt({"round_trips": 6}), "query round trips", ""),
    "doubled WAL": (SideAt(counters={"wal_bytes": 8_000.0}), "query WAL bytes", ""),
    "rows that are read needlessly": (
        SideAt(counters={"table_rows memories": 4_000.0}),
        "query rows of memories read or written",
        "",
    ),
    "temporary files": (SideAt(counters={"temporary_file_bytes": 1e6}), "query temporary bytes", ""),
    "the vector column fetched": (SideAt(counters={"database_received_bytes": 9e5}), "query bytes received", ""),
    "a cache that never hits": (
        SideAt(fields={"cache": {"hit_rate": 0.0}}),
        "all cache hits, as a share",
        "",
    ),
    "failures": (SideAt({"error": "timeout"}), "query errors", "timeout"),
}


@pytest.mark.parametrize(("candidate", "named", "detail"), PLANTED.values(), ids=PLANTED)
def test_what_is_counted_more_often_fails_and_is_named(candidate: SideAt, named: str, detail: str) -> None:
    base = SideAt(counters={"database_received_bytes": 4e4}, fields={"cache": {"hit_rate": 0.8}})
    kept = SideAt(
        candidate.request,
        {**base.counters, **candidate.counters},
        fields={**base.fields, **candidate.fields},
    )
    verdict = gated(kept, base)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.exit_code == ExitCode.FAIL
    [worse] = verdict.worse
    assert (f"{worse.subject} {worse.counter}", worse.detail) == (named, detail)


def test_what_is_counted_less_often_is_shown_and_fails_nothing() -> None:
    verdict = gated(SideAt({"statements": 1}))
    assert (verdict.outcome, verdict.worse) == (Outcome.PASS, ())
    assert verdict.sentence == "Nothing is worse than the base; otherwise: 1 figure."


def test_what_the_server_does_by_itself_is_no_finding() -> None:
    assert gated(SideAt(counters={"wal_bytes": 4_500.0, "table_rows memories": 410.0})).findings == ()


def test_what_the_target_polls_is_not_counted() -> None:
    polling = SideAt(counters={"table_rows queue": 90_000.0})
    scenario = {"name": "test", "strategies": ["base", "candidate"], "polled_tables": ["queue"]}
    assert gated(polling, scenario=scenario).findings == ()
    assert gated(polling).outcome is Outcome.FAIL


def planned(*steps: PlanStep, scans: tuple[str, ...] = ()) -> SideAt:
    plan = PlanRecord(statement="search", scans=scans, root=PlanStep(node_type="Limit", steps=steps))
    return SideAt(fields={"plans": (plan,)})


BY_INDEX = PlanStep(node_type="Index Scan", relation="memories", index="memories_author")
WHOLE = PlanStep(node_type="Seq Scan", relation="memories")


def test_a_lost_index_fails_with_both_plans() -> None:
    verdict = gated(planned(WHOLE, scans=("memories",)), planned(BY_INDEX))
    assert [each.detail for each in verdict.worse] == [
        "Index Scan using memories_author on memories → Seq Scan on memories"
    ]


def test_a_gained_index_is_shown_and_fails_nothing() -> None:
    verdict = gated(planned(BY_INDEX), planned(WHOLE, scans=("memories",)))
    assert verdict.outcome is Outcome.PASS
    assert [each.kind for each in verdict.findings] == ["planned"]


def test_a_pool_of_one_is_seen_in_its_sessions() -> None:
    few, many = (SideAt(counters={"database_sessions": count}, users=4) for count in (1.0, 8.0))
    assert [each.counter for each in gated(few, many).worse] == ["sessions with the database"]


def test_a_session_less_of_a_pool_that_grows_is_no_finding() -> None:
    few, many = (SideAt(counters={"database_sessions": count}, users=4) for count in (3.0, 4.0))
    assert gated(few, many).findings == ()


LONGER = {
    "a sleep in a statement": (SideAt(time_s=0.0112, elapsed_s={"search": 0.0051}), "search time of the statement, ms"),
    "a loop in the client": (SideAt(counters={"client_cpu_s": 0.0121}), "query client CPU, ms"),
    "a wait that nothing counts": (SideAt(time_s=0.013), "query time, ms"),
    "a kilobyte that each request keeps": (
        SideAt(kept=lambda number: 1_000 * REQUESTS + 500 * (number % 3)),
        "query memory, bytes kept",
    ),
}


@pytest.mark.parametrize(("candidate", "named"), LONGER.values(), ids=LONGER)
def test_what_takes_longer_in_every_round_fails(candidate: SideAt, named: str) -> None:
    worse = gated(candidate, rounds=3).worse
    assert named in {f"{each.subject} {each.counter}" for each in worse}


@pytest.mark.parametrize("candidate", [each for each, _ in LONGER.values()], ids=LONGER)
def test_what_takes_longer_in_one_round_is_measured_again(candidate: SideAt) -> None:
    assert doubted_places(both(candidate), [PAIR]) == {PAIR.place}


def test_what_took_longer_once_and_not_again_is_no_finding() -> None:
    joined = then(both(SideAt(time_s=0.013)), both(SideAt(), rounds=2))
    assert judge_gate(joined, [PAIR]).findings == ()
    assert doubted_places(joined, [PAIR]) == frozenset()


def then(first: RunRecord, again: RunRecord) -> RunRecord:
    """With the second round of `again`."""
    return first.model_copy(
        update={
            "variants": tuple(
                one.model_copy(
                    update={
                        "samples": (*one.samples, *(each for each in other.samples if each.round == 2)),
                        "phases": (*one.phases, *(each for each in other.phases if each.round == 2)),
                    }
                )
                for one, other in zip(first.variants, again.variants, strict=True)
            )
        }
    )


ONE_PHASE = SideAt(counters={"wal_bytes": 4_000.0, "database_received_bytes": 4e4}, copies=1)
AROUND_ONE_PHASE = {
    "WAL bytes": {"wal_bytes": 12_000.0},
    "bytes received": {"database_received_bytes": 4.4e4},
    "rows of memories read or written": {"table_rows memories": 1_200.0},
}


@pytest.mark.parametrize(("counter", "more"), AROUND_ONE_PHASE.items(), ids=AROUND_ONE_PHASE)
def test_what_is_counted_around_a_single_phase_has_to_be_shown_again(counter: str, more: Mapping[str, float]) -> None:
    worse = replace(ONE_PHASE, counters={**ONE_PHASE.counters, **more})
    assert doubted_places(both(worse, ONE_PHASE), [PAIR]) == {PAIR.place}
    once = then(both(worse, ONE_PHASE), both(ONE_PHASE, ONE_PHASE, rounds=2))
    assert judge_gate(once, [PAIR]).findings == ()
    other_way = then(both(worse, ONE_PHASE), both(ONE_PHASE, worse, rounds=2))
    assert judge_gate(other_way, [PAIR]).findings == ()
    [found] = gated(worse, ONE_PHASE, rounds=2).worse
    assert found.counter == counter


def test_nothing_is_measured_again_for_what_is_decided_at_another_place() -> None:
    apart = GatePair("apart", "base, apart", "candidate, apart")
    more = {"wal_bytes": 12_000.0}
    worse = replace(ONE_PHASE, counters={**ONE_PHASE.counters, **more})
    found = record(
        *both(SideAt(counters=more)).variants,
        side("base, apart", ONE_PHASE),
        side("candidate, apart", worse),
    )
    assert doubted_places(found, [PAIR, apart]) == frozenset()
    assert {each.place for each in judge_gate(found, [PAIR, apart]).worse} == {PAIR.place, "apart"}
    found = record(*both(SideAt()).variants, side("base, apart", ONE_PHASE), side("candidate, apart", worse))
    assert doubted_places(found, [PAIR, apart]) == {"apart"}


def test_what_is_better_around_a_single_phase_is_not_measured_again() -> None:
    better = replace(ONE_PHASE, counters={**ONE_PHASE.counters, "wal_bytes": 400.0})
    assert doubted_places(both(better, ONE_PHASE), [PAIR]) == frozenset()


def test_nothing_is_measured_a_fourth_time() -> None:
    assert doubted_places(both(SideAt(time_s=0.013), rounds=3), [PAIR]) == frozenset()


def keeping(bytes_per_request: float, level: str = "client_kept_bytes") -> SideAt:
    return SideAt(kept=lambda _: bytes_per_request * REQUESTS, level=level)


def test_memory_is_told_for_each_request_of_both_sides() -> None:
    [worse] = gated(keeping(1_000), keeping(100), rounds=3).worse
    assert worse.counter == "memory, bytes kept"
    assert worse.before == pytest.approx(100)
    assert worse.after == pytest.approx(1_000)


NOT_KEPT = {
    "as much as at the base": (keeping(9_000), keeping(8_500)),
    "an allocator's own steps": (keeping(300), SideAt()),
    "a jump": (SideAt(kept=lambda number: 1e6 * (number == 3)), SideAt()),
    "a cache that becomes full": (SideAt(kept=lambda number: 1e6 / 2**number), SideAt()),
    "what is given back": (keeping(-1_000), SideAt()),
    "what one side alone was read of": (keeping(1_000), SideAt(level="service_memory_bytes")),
    "as uneven as at the base": (
        SideAt(kept=lambda number: (9_000, 1_000, 7_000, 9_000, 7_000, 7_000)[number]),
        SideAt(kept=lambda number: (7_000, 3_000, 9_000, 3_000, 3_000, 3_000)[number]),
    ),
}


@pytest.mark.parametrize(("candidate", "base"), NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_does_not_grow_by_each_request_is_no_finding(candidate: SideAt, base: SideAt) -> None:
    assert gated(candidate, base, rounds=3).findings == ()


def test_a_service_that_keeps_something_is_found() -> None:
    kept, none = (keeping(size, "service_memory_bytes") for size in (1_024, 0))
    assert [each.counter for each in gated(kept, none, rounds=3).worse] == ["service memory, bytes kept"]


def apart(alone_s: float, together_s: float, name: str) -> VariantRecord:
    samples = [
        sample("add", time_s + 0.0002 * number, phase=f"add by {users}")
        for users, time_s, count in ((1, alone_s, 6), (4, together_s, 12))
        for number in range(count)
    ]
    phases = [phase(f"add by {users}", workload="add", started=6, users=users) for users in (1, 4)]
    return variant(name, samples, phases=tuple(phases))


def test_a_lock_that_lets_nobody_else_by_is_seen_where_everybody_waits() -> None:
    found = record(apart(0.070, 0.080, "base"), apart(0.070, 0.250, "candidate"))
    assert doubted_places(found, [PAIR]) == {PAIR.place}
    assert [each.counter for each in judge_gate(found, [PAIR]).worse] == ["several at once, beside one alone"]


def test_a_side_that_was_not_measured_shows_nothing() -> None:
    verdict = judge_gate(record(side("base", SideAt())), [PAIR])
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INVALID, ExitCode.INVALID)
    assert "0 of 1 place" in verdict.sentence


def test_an_interrupted_gate_is_no_verdict() -> None:
    assert gated(SideAt(), interruption=INTERRUPTED, state="partial").exit_code == ExitCode.INTERRUPTED


def compared(metric: str, word: Word, ratio: float) -> MetricComparison:
    difference = Difference(word, ratio, ratio - 0.02, ratio + 0.02, confidence=0.99, rounds=5)
    return MetricComparison("query", metric, 100, 0.010, 0.010 * ratio, difference)


def test_a_latency_that_is_slower_fails_the_gate_and_one_that_is_undecided_does_not() -> None:
    asked = [
        compared("p50", "slower", 1.3),
        compared("mean", "faster", 0.8),
        compared("p95", "undecided", 1.1),
        MetricComparison("add", "p95", 0, obstacle="no request succeeded"),
    ]
    alike = record(variant("base"), variant("candidate"))
    verdict = judge_gate(alike, [PAIR], latencies=latency_findings(asked))
    slower, faster = verdict.findings
    assert (slower.place, slower.subject, slower.counter, slower.is_worse) == ("whole scenario", "query", "p50", True)
    assert slower.before == pytest.approx(10)
    assert slower.after == pytest.approx(13)
    assert slower.figure == "query.p50"
    assert slower.detail == "1.30 times (1.28 to 1.32)"
    assert (faster.counter, faster.is_worse) == ("mean", False)
    assert latency_findings(asked[2:]) == ()


def searching(kind: str | None = "hnsw", recalls: tuple[float, ...] = (), **request: Any) -> SideAt:
    """A side whose query searches by an index of this kind; without one, no plan is known."""
    step = PlanStep(node_type="Index Scan", relation="memories", index="nearest", access_method=kind or "")
    plans = (PlanRecord(statement="query.search", indexes=("nearest",), root=step),) if kind else ()
    return SideAt(request, fields={"plans": plans, "recalls": recalls})


@pytest.mark.parametrize(
    ("base", "candidate", "is_worse"),
    [
        (searching(recalls=(1.0, 0.9)), searching(recalls=(0.9, 0.9)), True),
        (searching(recalls=(0.9, 0.9)), searching(recalls=(1.0, 0.9)), False),
        (searching("btree"), searching(recalls=(0.96,)), True),
        (searching(None, recalls=(1.0,)), searching(None, recalls=(0.9,)), True),
        (searching(recalls=(0.95,), proven=True), searching(recalls=(0.9,)), True),
    ],
)
def test_a_search_that_finds_less_than_the_base_fails_however_quick_it_is(
    base: SideAt, candidate: SideAt, *, is_worse: bool
) -> None:
    """An exact search finds all, and of a class nothing but its own exact search tells."""
    verdict = gated(candidate, base)
    (found,) = (each for each in verdict.findings if each.counter == "recall, as a share")
    assert (found.subject, found.kind, found.is_worse) == ("query", "counted", is_worse)
    assert verdict.outcome is (Outcome.FAIL if is_worse else Outcome.PASS)


@pytest.mark.parametrize(
    ("base", "candidate"),
    [
        (searching(recalls=(0.96,)), searching(recalls=(0.94,))),
        (searching("btree"), searching("btree", recalls=(0.5,))),
        (searching(proven=True), searching(proven=True)),
    ],
)
def test_chance_in_an_index_and_ties_in_exact_searches_are_nobodys_loss(base: SideAt, candidate: SideAt) -> None:
    verdict = gated(candidate, base)
    assert not [each for each in verdict.findings if each.counter == "recall, as a share"]
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("base", "candidate"),
    [(searching(), searching()), (searching(recalls=(0.9,)), searching()), (searching("btree"), searching())],
)
def test_no_gate_passes_for_an_approximate_search_of_unknown_recall(base: SideAt, candidate: SideAt) -> None:
    verdict = gated(candidate, base)
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INVALID, ExitCode.INVALID)
    assert "query searches by an index that may miss what there is" in verdict.sentence
    assert "`exact`" in verdict.sentence


def test_what_is_worse_fails_though_its_recall_is_unknown() -> None:
    assert gated(searching(statements=9), searching()).outcome is Outcome.FAIL


def test_the_recall_stands_beside_a_pass() -> None:
    run = both(searching(recalls=(0.94,)), searching(recalls=(0.95,)))
    assert [each.sentence for each in gate_recalls(run, [PAIR])] == [
        "Recall of query, 300 memories: 94% (95% at the base)."
    ]
