"""A run that was made to compare stays a comparison: its files, its page, `harness report` of it, the exit codes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.command_line import harness
from harness.commands._shared import report_files
from harness.errors import ExitCode
from harness.judging.analysis.paired import Difference
from harness.judging.comparison import Comparison, compare, compare_asked, compare_runs, judged
from harness.quantities import share
from harness.record import INTERRUPTED, ComparisonSettings, ProfileRecord, RunRecord, VariantRecord
from harness.showing.comparison_tables import noise_sentence, ratio_interval, steadiest, timings_table
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.report import report_of
from harness.showing.tables import REQUESTS_MIN
from tests.records import HOSTILE, guide_record, record, sample, variant


def sides(*factors: float, rounds: int = 10) -> list[VariantRecord]:
    names = ("batched", "naive", "batched (control)")
    return [
        variant(
            name,
            [
                sample(service_time_s=factor * (0.1 + 0.001 * number), round=number, statements=3)
                for number in range(rounds)
            ],
            control_of="batched" if "control" in name else None,
        )
        for name, factor in zip(names, factors, strict=False)
    ]


def run(*factors: float, margin: float = 0.05, **fields: object) -> RunRecord:
    asked = ComparisonSettings(baseline="batched", candidate="naive", margin=margin)
    scenario = {"name": "local", "strategies": ["batched", "naive"], "budgets": []}
    return record(*sides(*factors), comparison=asked, scenario=scenario, **fields)


def reported(directory: Path, *options: str) -> ExitCode:
    code = harness.main(["report", str(directory), *options], standalone_mode=False)
    assert isinstance(code, ExitCode)
    return code


def stored(directory: Path, kept: RunRecord) -> Path:
    report_files.write(directory, report_of(kept))
    return directory


SLOWER, SAME = run(1.0, 15.0, 1.001), run(1.0, 1.0005, 1.001)


@pytest.mark.parametrize(
    ("kept", "code"), [(SLOWER, ExitCode.FAIL), (SAME, ExitCode.PASS)], ids=["15 times slower", "the same"]
)
@pytest.mark.parametrize("form", sorted(RENDERERS))
def test_a_stored_comparison_is_reported_with_its_verdict_in_every_format(
    kept: RunRecord, code: ExitCode, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported(stored(tmp_path / "run", kept), "--format", form) is code
    told = capsys.readouterr().out
    assert code.name in told
    assert "held to nothing" not in told


def test_the_files_of_a_comparison_are_about_it(tmp_path: Path) -> None:
    directory = stored(tmp_path / "run", SLOWER)
    assert {path.name for path in directory.iterdir()} == {
        "record.json",
        "report.html",
        "comparison.md",
        "comparison.json",
    }
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert "<title>FAIL: naive against batched</title>" in page
    assert "slower: query.mean by 15.0 times" in page
    assert "sees a slowdown" in page
    assert json.loads((directory / "comparison.json").read_bytes())["comparison"]["outcome"] == "FAIL"


def test_the_record_alone_says_by_what_margin_it_is_judged() -> None:
    lenient = RunRecord.model_validate_json(run(1.0, 1.2, 1.001, margin=0.5).model_dump_json(exclude_defaults=True))
    assert judged(lenient).exit_code is ExitCode.PASS
    assert judged(run(1.0, 1.2, 1.001)).exit_code is ExitCode.FAIL


def test_a_comparison_that_did_not_come_to_a_side_is_invalid_and_says_so(tmp_path: Path) -> None:
    cut_off = run(1.0, state="partial", interruption="the disk is full")
    assert reported(stored(tmp_path / "run", cut_off)) is ExitCode.INVALID
    assert "nothing to compare" in judged(cut_off).sentence


def test_an_interrupted_comparison_has_the_exit_code_of_one() -> None:
    assert judged(run(1.0, 1.0, state="partial", interruption=INTERRUPTED)).exit_code is ExitCode.INTERRUPTED


def profile(name: str, seconds: float, number: int) -> ProfileRecord:
    stacks = {"anima/memory.py:query": seconds}
    return ProfileRecord(
        variant=name, operation="query", round=number, requests=10, profiled_s=seconds, plain_s=seconds, stacks=stacks
    )


@pytest.mark.slow
def test_a_page_has_the_flame_graphs_of_both_sides_where_both_were_profiled() -> None:
    profiles = tuple(
        profile(name, seconds, number) for name, seconds in (("batched", 0.1), ("naive", 1.5)) for number in range(4)
    )
    page = rendered(report_of(SLOWER.model_copy(update={"profiles": profiles})), RENDERERS["html"])
    assert 'id="flame-query"' in page
    assert 'id="flame-query"' not in rendered(report_of(SLOWER), RENDERERS["html"])
    assert "--profile" in rendered(report_of(SLOWER), RENDERERS["html"])


def test_the_page_of_two_runs_names_both_and_says_how_each_was_made() -> None:
    other = SAME.model_copy(update={"run_id": "friday", "command": ("harness", "run", HOSTILE)})
    page = RENDERERS["html"].render_comparison(compare_runs(SLOWER, other), (SLOWER, other))
    assert "friday" in page
    assert page.count(f"<h3>{SLOWER.run_id}</h3>") == page.count("<h3>friday</h3>") == 1
    assert page.count("<code>harness run") == 2
    assert "<img" not in page


def test_a_run_without_a_comparison_is_judged_by_its_budgets() -> None:
    plain = SLOWER.model_copy(update={"comparison": None})
    assert judged(plain).sentence.startswith("Measured, and held to nothing")
    asked = SLOWER.comparison
    assert asked is not None
    assert compare_asked(plain, asked) == compare(SLOWER, "batched", "naive")


def test_the_noise_sentence_says_of_which_figures_it_speaks_and_what_the_table_says_of_them() -> None:
    found = judged(SLOWER)
    assert isinstance(found, Comparison)
    (floor,) = {min(each.detectable for each in found.metrics if each.detectable)}
    sentence = noise_sentence(found)
    (named,) = steadiest(found.metrics)
    assert named in sentence
    cells = {(row[0].text, row[1].text): row[-2].text for row in timings_table(found).rows}
    operation, metric = named.partition(" ")[0].split(".")
    assert cells[operation, metric] == share(floor) == named.rpartition(" ")[2]


def test_quantiles_of_too_few_requests_in_a_round_are_marked_as_in_every_other_table() -> None:
    found = compare(guide_record(requests=80))
    few, enough = REQUESTS_MIN["p95"] - 1, REQUESTS_MIN["p95"]
    for requests, is_marked in ((few, True), (enough, False)):
        asked = replace(found, metrics=tuple(replace(each, requests=requests) for each in found.metrics))
        table = timings_table(asked)
        cells = {row[1].text: [cell.text[:1] == "(" for cell in row[2:4]] for row in table.rows}
        assert cells == {"mean": [False] * 2, "p50": [False] * 2, "p95": [is_marked] * 2}
        assert ("of too few requests" in table.note) == is_marked


def test_an_interval_that_leaves_everything_open_is_unknown() -> None:
    wide = Difference(word="undecided", ratio=1.0, lower=1e-9, upper=1e9, confidence=0.95, rounds=2)
    assert ratio_interval(wide) == "unknown"
    assert ratio_interval(replace(wide, lower=0.5)) == "0.500 to over 1,000"
