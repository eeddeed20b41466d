"""Plans of two variants: what of their structure differs, what counts as worst, and what readers are shown."""

import pytest

from harness.judging.comparison import compare
from harness.judging.plan_differences import PlanChangeKind, PlanDifference, PlanSide, compare_plans, label, pair_plans
from harness.record import PlanRecord, PlanStep, StepExecution
from harness.showing.plan_tables import plans_table
from harness.showing.renderers import RENDERERS
from harness.showing.report import Report
from tests.records import HOSTILE, record, samples, variant

WHOLE = PlanStep(node_type="Seq Scan", relation="memories", rows_estimated=10_000)
BY_INDEX = PlanStep(
    node_type="Index Scan", relation="memories", index="idx_e", access_method="hnsw", rows_estimated=100
)


def plan(*steps: PlanStep, statement: str = "query.search") -> PlanRecord:
    """Each step above the next."""
    *above, root = steps
    for step in reversed(above):
        root = step.model_copy(update={"steps": (root,)})
    return PlanRecord(statement=statement, root=root)


def difference(before: PlanRecord, after: PlanRecord) -> PlanDifference:
    (found,) = compare_plans(PlanSide("a", {"s": before}), PlanSide("b", {"s": after})).statements
    return found


SORT = PlanStep(node_type="Sort", rows_estimated=5)
LIMIT = PlanStep(node_type="Limit")
HASHED = PlanStep(node_type="Hash Join", join_type="Left")
LOOPED = PlanStep(node_type="Nested Loop")


@pytest.mark.parametrize(
    ("before", "after", "kinds", "sentence"),
    [
        ((LIMIT, SORT, WHOLE), (LIMIT, SORT, WHOLE), [], ""),
        (
            (LIMIT, BY_INDEX),
            (LIMIT, SORT, WHOLE),
            ["index lost", "added"],
            "Index Scan using idx_e (hnsw) on memories → Seq Scan on memories, and 1 more step",
        ),
        ((WHOLE,), (BY_INDEX,), ["index gained"], "Seq Scan on memories → Index Scan using idx_e (hnsw) on memories"),
        ((LIMIT, WHOLE), (LIMIT, SORT, WHOLE), ["added"], "Sort added"),
        ((LIMIT, SORT, WHOLE), (LIMIT, WHOLE), ["removed"], "Sort removed"),
        ((HASHED, WHOLE), (LOOPED, WHOLE), ["changed"], "Hash Join (Left) → Nested Loop"),
    ],
)
def test_what_differs_is_told_the_worst_first(
    before: tuple[PlanStep, ...], after: tuple[PlanStep, ...], kinds: list[PlanChangeKind], sentence: str
) -> None:
    found = difference(plan(*before), plan(*after))
    assert [change.kind for change in found.changes] == kinds
    assert found.sentence == sentence


def test_estimates_and_times_are_no_difference() -> None:
    executed = StepExecution(rows=3, loops=1, elapsed_ms=4, blocks=5)
    other = WHOLE.model_copy(update={"rows_estimated": 7, "executed": executed})
    assert not difference(plan(SORT, WHOLE), plan(SORT, other)).changes


def test_a_lost_index_comes_before_other_changes_and_these_before_what_only_one_side_executes() -> None:
    def named(name: str, *steps: PlanStep) -> dict[str, PlanRecord]:
        return {name: plan(*steps, statement=name)}

    before = named("a.same", WHOLE) | named("b.gained", WHOLE) | named("c.lost", BY_INDEX) | named("d.gone", WHOLE)
    after = named("a.same", WHOLE) | named("b.gained", BY_INDEX) | named("c.lost", WHOLE)
    found = compare_plans(PlanSide("a", before), PlanSide("b", after))
    assert [each.statement for each in found.statements] == ["c.lost", "b.gained", "a.same", "d.gone"]
    assert [each.statement for each in found.differing] == ["c.lost", "b.gained"]


def test_a_step_is_named_as_explain_names_it() -> None:
    step = PlanStep(node_type="CTE Scan", relation="candidates", role="CTE ranked", is_parallel=True)
    assert label(step) == "CTE ranked: Parallel CTE Scan on candidates"
    assert label(HASHED) == "Hash Join (Left)"


PAIR = record(
    variant("naive", samples([0.1, 0.2]), plans=(plan(LIMIT, BY_INDEX),)),
    variant("batched", samples([0.1, 0.2]), plans=(plan(LIMIT, WHOLE),)),
)
CHANGE = "Index Scan using idx_e (hnsw) on memories → Seq Scan on memories"


def test_a_run_without_plans_or_with_one_variant_has_no_table() -> None:
    assert pair_plans(record(variant("naive"), variant("batched"))) is None
    assert pair_plans(record(variant("naive", plans=(plan(WHOLE),)))) is None
    same = record(variant("a", plans=(plan(WHOLE),)), variant("b", plans=(plan(WHOLE),)))
    assert plans_table(pair_plans(same)) is None


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_a_report_shows_the_change_in_words(form: str) -> None:
    text = " ".join(RENDERERS[form].render(Report.of(PAIR)).replace("\\", "").split())
    assert "no index any more" in text
    assert "Seq Scan on memories" in text


@pytest.mark.parametrize(
    ("form", "mention"),
    [("terminal", "no index any more"), ("markdown", CHANGE), ("comment", CHANGE), ("json", '"kind": "index lost"')],
)
def test_a_comparison_mentions_the_plans_that_differ(form: str, mention: str) -> None:
    assert mention in RENDERERS[form].render_comparison(compare(PAIR), ())


def test_the_page_marks_both_sides_of_a_change_and_shows_figures() -> None:
    executed = StepExecution(rows=9_000, loops=3, elapsed_ms=12, blocks=340)
    seen = variant("batched", plans=(plan(LIMIT, WHOLE.model_copy(update={"executed": executed})),))
    run = record(PAIR.variants[0], seen)
    page = RENDERERS["html"].render(Report.of(run))
    assert '<b class="bad">changed</b> <code>Index Scan using idx_e (hnsw) on memories</code>' in page
    assert '<b class="bad">no index any more</b> <code>Seq Scan on memories</code>' in page
    assert "9,000 rows in 3 loops (10,000 rows estimated), 12.0 ms, 340 blocks" in page


def test_text_of_a_plan_stays_text() -> None:
    hostile = plan(PlanStep(node_type=HOSTILE, relation=HOSTILE, index=HOSTILE), statement=HOSTILE)
    run = record(variant("naive", plans=(plan(LIMIT, statement=HOSTILE),)), variant("batched", plans=(hostile,)))
    page = RENDERERS["html"].render(Report.of(run))
    assert "<img" not in page
    assert "</script><img" not in page
