"""`harness history` with Otava itself: only where the extra `history` is installed, as in `tox run -e history`."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness import command_line
from harness.commands._shared import report_files
from harness.commands.history.commands import refuse_several, sparks
from harness.commands.history.entries import append, entry_of, read
from harness.commands.history.trends import series_of, time_changes
from harness.errors import UsageError
from harness.journal import FILE_NAME
from harness.record import RunRecord
from harness.showing.report import report_of
from tests.records import record, sample, variant

otava = pytest.importorskip("otava.analysis", reason="the extra `history` is not installed")

Command = Callable[..., Result]


def run_of_day(day: int, draw: random.Random, name: str = "shop") -> RunRecord:
    """A query that becomes a quarter slower with day 20, and needs a statement more with day 12."""
    slower = 1.25 if day >= 20 else 1.0
    drawn = [
        sample(
            service_time_s=0.020 * slower * draw.lognormvariate(0, 0.2), started_s=second, statements=3 + (day >= 12)
        )
        for second in range(100)
    ]
    measured = variant("batched", drawn)
    started_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return record(measured, run_id=f"{name}-{day:02}", started_at=started_at, scenario={"name": name})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    draw = random.Random(1)
    for day in range(30):
        append(tmp_path / "history.jsonl", entry_of(run_of_day(day, draw), f"rev{day:02}"))
    return tmp_path / "history.jsonl"


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *arguments: CliRunner().invoke(command_line.history, arguments)


def test_a_slowdown_and_an_added_statement_are_found_where_they_happened(path: Path) -> None:
    found = {series.metric: series.change_points() for series in series_of(read(path))}
    for metric in ("p50_s", "p95_s"):
        first = found[metric][0]
        assert first.index == 20
        assert first.ratio == pytest.approx(0.25, abs=0.06)
    assert [(change.index, change.before, change.after) for change in found["statements"]] == [(12, 3, 4)]
    assert found["errors"] == ()


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.2], [0.1] * 40])
def test_what_has_no_change_has_no_change_point(values: list[float]) -> None:
    assert time_changes(values) == ()


def test_show_names_date_revision_and_size_of_a_change(path: Path, history: Command) -> None:
    done = history("show", "--file", str(path))
    assert done.exit_code == 0
    lines = {tuple(line.split()[:3]): line for line in done.output.splitlines()}
    assert "shop: 30 runs from 2026-01-01 on" in done.output
    assert "2026-01-13 rev12: 3 to 4 (+33.3%)" in lines["batched", "query", "statements"]
    assert "2026-01-21 rev20: " in lines["batched", "query", "p95"]
    assert ("batched", "query", "errors") not in lines


def test_show_takes_a_pattern(path: Path, history: Command) -> None:
    done = history("show", "*.errors", "--file", str(path))
    assert [line.split()[2] for line in done.output.splitlines()[3:]] == ["errors"]
    wrong = history("show", "*.p59", "--file", str(path))
    assert "fits '*.p59'. There are batched.query." in str(wrong.exception)


def test_unlike_runs_are_shown_only_when_asked_for(path: Path, history: Command) -> None:
    elsewhere = run_of_day(40, random.Random(1)).model_copy(update={"corpus": {"name": "another"}})
    append(path, entry_of(elsewhere, None))
    assert "1 run from 2026-02-10" in history("show", "--file", str(path)).output
    assert "30 runs" not in history("show", "--file", str(path)).output
    assert "30 runs" in history("show", "--all", "--file", str(path)).output


@pytest.mark.parametrize("form", ["svg", "png"])
def test_plot_writes_a_figure_per_operation(path: Path, history: Command, form: str) -> None:
    done = history("plot", "--file", str(path), "--format", form, "--to", "figures")
    assert done.output == f"Wrote figures/shop-query.{form}.\n"
    figure = (path.parent / "figures" / f"shop-query.{form}").read_bytes()
    assert figure.startswith(b"<?xml" if form == "svg" else b"\x89PNG")


def test_plot_writes_the_only_figure_to_the_file_that_is_named(path: Path, history: Command) -> None:
    done = history("plot", "--file", str(path), "--to", "deep/query.png")
    assert done.output == "Wrote deep/query.png.\n"
    assert (path.parent / "deep" / "query.png").read_bytes().startswith(b"\x89PNG")


def test_plot_does_not_write_several_figures_to_one_file() -> None:
    with pytest.raises(UsageError, match=r"a figure for each of add, query\. Name a directory"):
        refuse_several(["add", "query", "add"], Path("out.svg"))
    refuse_several(["add", "add"], Path("out.svg"))


def test_plot_says_where_it_cannot_write(path: Path, history: Command) -> None:
    (path.parent / "taken").touch()
    assert "--to taken/figures: cannot be written" in str(
        history("plot", "--file", str(path), "--to", "taken/figures").exception
    )


def test_plot_says_what_it_can_draw(path: Path, history: Command) -> None:
    assert "nothing to draw" in str(history("plot", "*.requests", "--file", str(path)).exception)


def test_a_run_is_added_once(tmp_path: Path, history: Command) -> None:
    directory = tmp_path / "reports" / "shop-01"
    directory.mkdir(parents=True)
    (directory / FILE_NAME).touch()
    report_files.write(directory, report_of(run_of_day(1, random.Random(1))))
    assert history("add", "--revision", "abc").output == "Added shop-01 to history.jsonl.\n"
    assert history("add").output == "shop-01 is in history.jsonl already.\n"
    (entry,) = read(tmp_path / "history.jsonl")
    assert (entry.run_id, entry.revision) == ("shop-01", "abc")


def test_a_trend_is_drawn_from_the_lowest_to_the_highest() -> None:
    assert sparks([1, 2, 3, 8]) == "▁▂▃█"
    assert sparks([5, 5]) == "▁▁"
