"""`harness run` of several scenarios, of parts and once: what is planned, what is refused, and the exit code."""

from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from harness.command_line import harness
from harness.commands import run as command
from harness.commands._shared.searches import refuse_search
from harness.errors import ExitCode, HarnessError, ProvisioningError, UsageError
from harness.record import CapacitySettings
from harness.showing.runs_table import RunLine
from tests.records import record, variant

SCENARIO = """
name = "{name}"
target = "sql"
budgets = [{budgets}]
operations.find.sql = "SELECT 1"
phases = [{{ operation = "find", requests = 80 }}]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, *budgets: str) -> str:
        path = tmp_path / f"{name}.toml"
        path.write_text(SCENARIO.format(name=name, budgets=", ".join(f'"{each}"' for each in budgets)), "utf-8")
        return str(path)

    return write


def invoke(*words: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(harness, ["run", *words], standalone_mode=False)


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> dict[str, ExitCode | HarnessError]:
    """What comes of each scenario, by its name."""
    outcomes: dict[str, ExitCode | HarnessError] = {}

    def measured(planned: command.PlannedRun, asked: object, showing: object) -> RunLine:
        del asked, showing
        outcome = outcomes[planned.scenario.name]
        if isinstance(outcome, HarnessError):
            raise outcome
        return RunLine(planned.scenario.name, outcome, f"{planned.scenario.name} was run.", "report.html")

    monkeypatch.setattr(command, "measured", measured)
    return outcomes


@pytest.mark.parametrize(
    ("first", "second", "worst"),
    [
        (ExitCode.PASS, ExitCode.PASS, ExitCode.PASS),
        (ExitCode.FAIL, ExitCode.PASS, ExitCode.FAIL),
        (ExitCode.UNDECIDED, ExitCode.INVALID, ExitCode.INVALID),
        (ExitCode.INVALID, ExitCode.FAIL, ExitCode.FAIL),
        (ExitCode.PASS, ExitCode.INTERRUPTED, ExitCode.INTERRUPTED),
        (ProvisioningError("No server."), ExitCode.UNDECIDED, ExitCode.USAGE),
        (HarnessError("It broke."), ExitCode.PASS, ExitCode.INVALID),
    ],
)
def test_each_scenario_has_its_run_and_the_exit_code_is_the_worst(
    write: Callable[..., str],
    codes: dict[str, ExitCode | HarnessError],
    first: ExitCode | HarnessError,
    second: ExitCode,
    worst: ExitCode,
) -> None:
    codes |= {"one": first, "other": second}
    done = invoke(write("one"), write("other"))
    assert done.return_value is worst
    summary = done.output.partition("All runs")[2]
    assert "other was run." in summary
    assert ("one was run." if isinstance(first, ExitCode) else str(first)) in summary


def test_who_interrupts_one_ends_all(write: Callable[..., str], codes: dict[str, ExitCode | HarnessError]) -> None:
    codes |= {"one": ExitCode.INTERRUPTED}
    done = invoke(write("one"), write("other"))
    assert done.return_value is ExitCode.INTERRUPTED
    assert "Not begun: other." in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume"], "--resume goes on with one run"),
        (["--report", "junit=out.xml"], "Let {name} stand for its scenario: out-{name}.xml"),
        (["--phase", "fnd"], "Did you mean 'find'?"),
        (["--only", "fnd"], "Did you mean 'find'?"),
        (["--once", "--report", "junit={name}.xml"], "--once keeps and judges nothing"),
    ],
)
def test_what_cannot_be_said_of_several_is_refused_before_any_is_run(
    write: Callable[..., str], codes: dict[str, ExitCode | HarnessError], words: list[str], said: str
) -> None:
    assert not codes, "none is run"
    done = invoke(write("one"), write("other"), *words)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


def test_a_mistake_in_the_second_scenario_is_told_before_the_first_is_run(
    write: Callable[..., str], codes: dict[str, ExitCode | HarnessError]
) -> None:
    assert not codes, "none is run"
    done = invoke(write("one"), write("other", "fnd.p95 <= 1s"))
    assert isinstance(done.exception, UsageError)
    assert "fnd" in str(done.exception)


def test_reports_of_two_scenarios_of_one_name_are_refused(
    write: Callable[..., str], codes: dict[str, ExitCode | HarnessError]
) -> None:
    assert not codes, "none is run"
    done = invoke(write("one"), write("one"), "--report", "junit={name}.xml")
    assert isinstance(done.exception, UsageError)
    assert "Several scenarios are called one" in str(done.exception)


def test_a_budget_on_a_capacity_is_left_to_the_search_and_that_is_said(
    write: Callable[..., str], codes: dict[str, ExitCode | HarnessError]
) -> None:
    codes |= {"one": ExitCode.PASS}
    path = write("one", "find.p95 <= 1s", "find.capacity >= 50/s")
    done = invoke(path)
    assert f"not judged by a run: find.capacity >= 50/s. `harness capacity {path}` judges it" in done.stderr
    chosen = command.Wanted(path, (), None, None).choose()
    assert chosen.budgets == ("find.p95 <= 1s",)


def test_a_search_is_no_run_like_others() -> None:
    search = record(variant(), run_id="capacity-shop-1", capacity=CapacitySettings(phases=("query",)))
    with pytest.raises(UsageError, match=r"capacity-shop-1 is a search for a capacity, which cannot go on"):
        refuse_search(search, "cannot go on")
    refuse_search(record(variant()), "cannot go on")
