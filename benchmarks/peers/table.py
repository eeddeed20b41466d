"""From the records of runs to the table: what may be compared, what is ranked, and how it is written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from harness.errors import UsageError
from harness.judging.analysis.quantiles import quantile
from harness.record import PhaseRecord, PlanRecord, PlanStep, RunRecord, VariantRecord

ALIKE: Final[Mapping[str, str]] = {
    "rows": "number of memories",
    "texts": "memories",
    "dimensions": "dimensions of the vectors",
    "distance": "measure of distance",
}
"""What all that are compared have to have alike, as a target's statistics tell it."""
RECALL_MARGIN: Final = 0.02
ADD: Final = "add"
TITLES: Final[Mapping[str, str]] = {
    "search": "Search of all memories",
    ADD: "Add",
    "search_tenant": "Search of one tenant of 50",
    "search_everyone": "Search of the one owner of all",
}


@dataclass(frozen=True, slots=True)
class Load:
    """One operation of one variant under one number of clients. Times in ms, of the requests that were answered."""

    p50_ms: float
    p95_ms: float
    per_s: float
    client_cpu_ms: float | None
    server_cpu_ms: float | None
    wal_kb: float | None
    errors: int
    results: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One operation of one variant."""

    variant: str
    operation: str
    loads: Mapping[int, Load]
    """By the number of clients."""
    statements: float | None
    index: str
    recall: float | None
    """Of twenty; None of what is no search."""


def figures_of(record: RunRecord) -> Sequence[Sequence[Figures]]:
    """Of each round, which has fresh clones of all databases. Raises `UsageError` where variants hold unlike things."""
    refuse_unlike({variant.name: variant.pool for variant in record.variants})
    rounds = sorted({phase.round for variant in record.variants for phase in variant.phases})
    return [[each for variant in record.variants for each in _of_variant(variant, number)] for number in rounds]


def figures_from(document: Mapping[str, Any]) -> Figures:
    """As `dataclasses.asdict` made them and JSON has kept them."""
    loads = {int(users): Load(**load) for users, load in document["loads"].items()}
    return Figures(**{**document, "loads": loads})


def refuse_unlike(facts: Mapping[str, Mapping[str, float]]) -> None:
    """`facts` are the statistics of variants by their names. Raises `UsageError` with the first that differ."""
    for key, meant in ALIKE.items():
        values = {name: each.get(key) for name, each in facts.items()}
        if len(set(values.values())) > 1:
            told = ", ".join(f"{name} {'unknown' if value is None else f'{value:g}'}" for name, value in values.items())
            raise UsageError(f"These cannot be compared, since the {meant} is not the same: {told}. Fill them alike.")


def _of_variant(variant: VariantRecord, number: int) -> Iterator[Figures]:
    of_round = [phase for phase in variant.phases if phase.round == number]
    answered = {sample.phase for sample in variant.samples if sample.round == number and sample.error is None}
    for operation in TITLES:
        phases = {phase.users: phase for phase in of_round if phase.workload == operation and phase.name in answered}
        if not phases:
            continue
        counted = next((each for each in of_round if each.name == f"{operation} alone"), None)
        sent = counted.counters.get("sent_statements") if counted else None
        yield Figures(
            variant.name,
            operation,
            {
                users or 0: _load(variant, phase)
                for users, phase in sorted(phases.items(), key=lambda each: each[0] or 0)
            },
            sent / counted.started if counted and sent is not None else None,
            index_of([plan for plan in variant.plans if plan.statement.partition(".")[0] == operation])
            if operation != ADD
            else "-",
            variant.pool.get(f"recall_{operation}"),
        )


def _load(variant: VariantRecord, phase: PhaseRecord) -> Load:
    samples = [each for each in variant.samples if (each.phase, each.round) == (phase.name, phase.round)]
    answered = [sample for sample in samples if sample.error is None]
    times = sorted((sample.ended_s - sample.started_s) * 1000 for sample in answered)
    results = [sample.results for sample in answered if sample.results is not None]

    def each(counter: str, unit: float) -> float | None:
        counted = phase.counters.get(counter)
        return None if counted is None else unit * counted / max(1, phase.started)

    return Load(
        p50_ms=quantile(times, 0.5) if times else 0.0,
        p95_ms=quantile(times, 0.95) if times else 0.0,
        per_s=len(answered) / max(1e-9, phase.ended_s - phase.started_s),
        client_cpu_ms=each("timed_client_cpu_s", 1000),
        server_cpu_ms=each("server_cpu_s", 1000),
        wal_kb=each("wal_bytes", 0.001),
        errors=len(samples) - len(answered),
        results=sum(results) / len(results) if results else 0.0,
    )


def index_of(plans: Sequence[PlanRecord]) -> str:
    """The index of vectors that the plans use; else what they do instead."""
    steps = [step for plan in plans if plan.root for step in _steps(plan.root)]
    if used := sorted({step.access_method for step in steps if step.access_method in ("hnsw", "ivfflat")}):
        return ", ".join(used)
    if any(step.node_type == "Seq Scan" for step in steps):
        return "none: every row"
    if any("." in plan.statement for plan in plans):
        return "-"  # Of several statements another may be the one that searches.
    if used := sorted({step.index for step in steps if step.index}):
        return f"none: {', '.join(used)}"
    return "in a function" if any("Function" in step.node_type or step.node_type == "Result" for step in steps) else "-"


def _steps(step: PlanStep) -> Iterator[PlanStep]:
    yield step
    for below in step.steps:
        yield from _steps(below)


def unlike_in_recall(figures: Sequence[Figures]) -> frozenset[str]:
    """The variants whose recall is further from the others' than a latency may be compared at."""
    known = {each.variant: each.recall for each in figures if each.recall is not None}
    middle = median(known.values()) if known else 0.0
    return frozenset(name for name, recall in known.items() if abs(recall - middle) > RECALL_MARGIN + 1e-9)


def ranks(figures: Sequence[Figures], users: int) -> Mapping[str, int]:
    """By the p50 of one operation, from 1; whoever finds less or more than the others has none."""
    marked = unlike_in_recall(figures)
    ranked = [each for each in figures if each.variant not in marked and users in each.loads]
    in_order = sorted(ranked, key=lambda each: each.loads[users].p50_ms)
    return {each.variant: place for place, each in enumerate(in_order, start=1)}


HEADER: Final = (
    "",
    "rank in each round",
    "p50, p95 by 1",
    "per s",
    "p50, p95 by 8",
    "per s",
    "client, server CPU",
    "statements",
    "WAL",
    "index",
    "recall@20",
    "rows",
)


def markdown(runs: Sequence[Sequence[Figures]]) -> str:
    """Tables of the last run, with the ranks of all of them; one operation a table, the quickest first."""
    parts: list[str] = []
    for operation, title in TITLES.items():
        of_runs = [[each for each in run if each.operation == operation] for run in runs]
        of_runs = [run for run in of_runs if run]
        if of_runs:
            parts += [f"### {title}", "", *_table(of_runs), ""]
    return "\n".join(parts)


def _table(of_runs: Sequence[Sequence[Figures]]) -> Iterator[str]:
    ranked = [ranks(run, 1) for run in of_runs]
    last = of_runs[-1]
    marked = unlike_in_recall(last)
    yield "| " + " | ".join(HEADER) + " |"
    yield "| --- " * len(HEADER) + "|"
    for each in sorted(last, key=lambda one: (one.variant in marked, one.loads[min(one.loads)].p50_ms)):
        yield "| " + " | ".join(_cells(each, ranked, marked)) + " |"


def _cells(each: Figures, ranked: Sequence[Mapping[str, int]], marked: frozenset[str]) -> Iterator[str]:
    places = ", ".join(str(places.get(each.variant, "-")) for places in ranked)
    yield f"{each.variant}{' †' if each.variant in marked else ''}"
    yield places
    for users in (1, 8):
        load = each.loads.get(users)
        yield f"{load.p50_ms:.1f}, {load.p95_ms:.1f} ms" if load else "-"
        yield f"{load.per_s:.0f}" if load else "-"
    load = each.loads[max(each.loads)]
    yield f"{_told(load.client_cpu_ms)}, {_told(load.server_cpu_ms)} ms"
    yield "-" if each.statements is None else f"{each.statements:.3g}"
    yield f"{_told(load.wal_kb)} kB"
    yield each.index
    yield "-" if each.recall is None else f"{each.recall:.3f}"
    yield f"{load.results:.3g}"


def _told(figure: float | None) -> str:
    """What was not counted is not 0."""
    return "-" if figure is None else f"{figure:.1f}"


def behaviours_markdown(behaviours: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "| | version | a search writes to | 8 identical adds leave too many | and refuse | kill -9 loses of 20 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, each in behaviours.items():
        tables = ", ".join(each["written_by_a_search"]) or "nothing"
        lines.append(
            f"| {name} | {each['version']} | {tables} | {each['duplicates']} | {each['refused']} | {each['lost']} |"
        )
    return "\n".join(lines) + "\n"
