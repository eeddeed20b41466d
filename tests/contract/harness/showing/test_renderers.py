"""What every renderer promises, for runs of every kind: a new one in the registry is held to this without an edit."""

import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

import harness.samples
from harness.judging.verdict import judge
from harness.quantities import count, duration, share
from harness.record import INTERRUPTED, BackgroundRecord, EnvironmentRecord, RunRecord
from harness.samples import SampleColumns
from harness.showing.renderers import RENDERERS
from harness.showing.report import Report
from harness.showing.summary import OperationSummary, Summary, summarise
from harness.showing.tables import TEXT_WORDS
from tests.pages import guide_page
from tests.records import BUDGETS, HOSTILE, guide_record, record, samples, variant

ESCAPE_SEQUENCE = "\x1b[2J"


def hostile_record() -> RunRecord:
    """Every text that a record can hold tries to break out."""
    text = f"{HOSTILE}{ESCAPE_SEQUENCE}"
    variants = [
        variant(
            f"{name}{text}",
            samples([seconds] * 5, text, statements=3, first_time_text=False, embedding=text)
            + samples([0.1], text, error=text),
            description=text,
            background=(BackgroundRecord(kind=text, count=1, failures=1, statements=1, round_trips=1),),
        )
        for name, seconds in (("before", 2.0), ("after", 1.0))
    ]
    named = {"operation": text, "variant": variants[0].name, "table": text, "label": text, "low_s": 1, "high_s": 3}
    return record(
        *variants,
        run_id=text,
        state="partial",
        interruption=text,
        command=("harness", text),
        corpus={text: text},
        scenario={"title": text, "description": text, "expectations": text, text: text, "references": [named]},
        environment=EnvironmentRecord(host={text: text}, software={text: text}, server={text: {text: [text]}}),
    )


def failing_record() -> RunRecord:
    failed = samples([0.1] * 20, error="timeout")
    return record(variant("batched", failed), scenario={"budgets": ["query.p95 <= 1s", "query.errors <= 1%"]})


RECORDS: dict[str, Callable[[], RunRecord]] = {
    "guide": guide_record,
    "failing": failing_record,
    "hostile": hostile_record,
    "empty": lambda: record(scenario={}),
    "no samples": lambda: record(variant("batched"), scenario={"budgets": list(BUDGETS)}),
    "one sample": lambda: record(variant("batched", samples([0.1]))),
    "interrupted": lambda: guide_record(state="partial", interruption=INTERRUPTED),
    "no latency": lambda: record(variant("naive", samples([0.0] * 3)), variant("batched", samples([0.0] * 3))),
}


def rendered(name: str, run: RunRecord | None = None) -> str:
    """Of the guide's run without another."""
    if run is None:
        return guide_page() if name == "html" else rendered(name, guide_record())
    return RENDERERS[name].render(Report.of(run))


def test_of_many_requests_few_are_looked_at_one_by_one(renderer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may have ten million, of which each would take microseconds in each table and figure."""
    read: list[int] = []
    one = SampleColumns.__getitem__

    def counted(columns: SampleColumns, index: Any) -> Any:
        read.append(index)
        return one(columns, index)

    monkeypatch.setattr(harness.samples, "OBJECTS_MAX", 0)
    monkeypatch.setattr(SampleColumns, "__getitem__", counted)
    many = samples([0.001 * number for number in range(1, 3_001)], statements=2, results=3)
    run = record(variant("naive", many), variant("batched", many), scenario={"budgets": list(BUDGETS)})
    assert RENDERERS[renderer].render(Report.of(run))
    assert len(read) < 100


@pytest.fixture(params=sorted(RENDERERS))
def renderer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "160")
    name: str = request.param
    return name


@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_every_record_is_rendered_with_its_verdict(renderer: str, kind: str) -> None:
    run = RECORDS[kind]()
    text = rendered(renderer, None if kind == "guide" else run)
    assert judge(run).outcome.value in text
    assert text.endswith("\n")
    assert RENDERERS[renderer].suffix.startswith(".")


def test_rendering_is_repeatable(renderer: str) -> None:
    assert rendered(renderer) == rendered(renderer, guide_record())


def test_no_control_character_of_the_record_gets_out(renderer: str) -> None:
    text = rendered(renderer, hostile_record())
    assert ESCAPE_SEQUENCE not in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.text += "\n" if tag in {"td", "th", "tr", "text"} else ""

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_texts_stay_texts_on_the_page() -> None:
    page = Elements(rendered("html", hostile_record()))
    assert {"script", "img"}.isdisjoint(tag for tag, _ in page.elements)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert HOSTILE in page.text


def test_hostile_texts_stay_texts_in_json() -> None:
    report = json.loads(rendered("json", hostile_record()))
    assert report["run_id"] == f"{HOSTILE}{ESCAPE_SEQUENCE}"


def test_hostile_texts_stay_cells_in_markdown() -> None:
    markdown = rendered("markdown", hostile_record())
    assert not re.search(r"(?<!\\)<(?!br)", re.sub(r"(`+).*?\1", "", markdown).replace("&lt;", ""))
    for table in re.findall(r"(?:^\|.*\|\n)+", markdown, flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_hostile_texts_stay_texts_in_the_terminal() -> None:
    assert "[bold]" in rendered("terminal", hostile_record())


def figures(operation: OperationSummary) -> list[str]:
    """What has to be said about an operation, as it is written."""
    return [
        operation.variant,
        operation.operation,
        TEXT_WORDS[operation.texts],
        count(operation.requests),
        count(operation.errors),
        duration(operation.p50.value_s),
        duration(operation.p95.value_s),
        share(operation.hit_rate),
    ]


@pytest.mark.parametrize("name", ["html", "markdown", "terminal"])
def test_every_figure_of_the_summary_is_on_the_page(name: str) -> None:
    run = guide_record()
    summary = summarise(run)
    text = rendered(name)
    plain = re.sub(r"\s*\|\s*|\s+", " ", Elements(text).text if name == "html" else text)
    for operation in summary.operations:
        row = r" (?:\S+ )*?".join(rf"\(?{re.escape(figure)}\)?" for figure in figures(operation))
        assert re.search(rf"(?<!\S){row}(?!\S)", plain), figures(operation)


def test_every_latency_on_the_page_is_one_of_the_summary() -> None:
    run = guide_record()
    summary, verdict = summarise(run), judge(run)
    known = set(written_latencies(summary)) | {duration(run.elapsed_s)}
    for budget in verdict.budgets:
        known |= {duration(each) for each in (budget.measured, budget.lower, budget.upper) if each is not None}
        known |= {duration(abs(budget.excess))} if budget.excess is not None else set()
    known |= {f"{tick} {unit}" for tick in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500) for unit in ("ms", "s")}
    for table in Elements(guide_page()).text.split("Conditions, and how")[:1]:
        shown = set(re.findall(r"(?<![\w.\N{EN DASH}])[\d.]+ (?:µs|ms|s)\b", table))
        references = {"8 s", "15 s", "2 s", "150 ms", "200 ms", "600 ms", "120 ms", "280 ms"}
        references |= {"4.6 s"}  # The 232 round trips of the naive query, each as long as the scenario says.
        assert shown - known - references == set()


def written_latencies(summary: Summary) -> list[str]:
    quantiles = [quantile for each in summary.operations for quantile in (each.p50, each.p95)]
    ends = [end for each in quantiles for end in (each.value_s, each.lower_s, each.upper_s) if end is not None]
    steps = [step for ladder in summary.ladders for step in ladder.steps]
    savings = [saving.saved_s for step in steps for saving in (step.saved_p50, step.saved_p95) if saving]
    distances = [each.distance_s for each in summary.comparisons if each.distance_s is not None]
    targets = [
        each.reference.high_s - each.measured_s
        for each in summary.comparisons
        if each.reference.high_s and each.measured_s
    ]
    return [duration(abs(each)) for each in (*ends, *savings, *distances, *targets)]


def test_json_has_the_summary_and_the_verdict_number_by_number() -> None:
    run = guide_record()
    summary, verdict = summarise(run), judge(run)
    report = json.loads(rendered("json", run))
    assert (report["schema"], report["schema_version"]) == ("anima-harness/report", 1)
    assert [each["measured"] for each in report["verdict"]["budgets"]] == [each.measured for each in verdict.budgets]
    operations = [each for one in report["summary"]["variants"] for each in one["operations"]]
    assert [each["p95"]["value_s"] for each in operations] == [each.p95.value_s for each in summary.operations]
    assert report["verdict"]["exit_code"] == 0


def test_an_infinite_quantile_is_null_in_json() -> None:
    (found,) = json.loads(rendered("json", failing_record()))["summary"]["variants"][0]["operations"]
    assert found["p95"]["value_s"] is None
    assert math.isinf(summarise(failing_record()).operations[0].p95.value_s)
