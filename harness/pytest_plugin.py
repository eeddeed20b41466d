"""The pytest plugin: a fixture `budget` that measures a callable and holds it to budgets, and a report of them.

    def test_search(budget):
        budget("p95 <= 150ms", "statements <= 3").measure(search, "a question")

pytest imports this file in every project that has the package installed, so it imports nothing but pytest itself;
what measures and judges is imported by the first test that asks for the fixture.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from harness.budget_fixture import BudgetFixture, Undecided

UNDECIDED_CHOICES: Final[tuple["Undecided", ...]] = ("fail", "skip", "pass")
TERMINAL_ONLY: Final = ""
_COLOURS: Final = {"PASS": "green", "FAIL": "red", "INVALID": "red", "UNDECIDED": "yellow"}
_VERDICTS: Final = pytest.StashKey[list[dict[str, Any]]]()
_PASSED: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("budgets", "performance budgets")
    group.addoption(
        "--budget-undecided",
        choices=UNDECIDED_CHOICES,
        help="What a test does whose budget the calls could not decide (default: fail, or the ini value).",
    )
    group.addoption(
        "--budget-report",
        nargs="?",
        const=TERMINAL_ONLY,
        metavar="PATH.json",
        help="List all budgets at the end of the session; with a path also write them there as JSON.",
    )
    parser.addini("budget_undecided", "fail, skip or pass: see --budget-undecided.", default="fail")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("budget_report")
    if path not in (None, TERMINAL_ONLY):
        _check_path(path)
    # With pytest-xdist the workers measure, and the controller hears of it in their reports.
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(BudgetReport(path), "budget-report")


def _check_path(path: str) -> None:
    if not path.endswith(".json"):
        raise pytest.UsageError(
            f"--budget-report={path}: expected a file that ends in .json. Without one, write --budget-report last."
        )
    if not Path(path).parent.is_dir():
        raise pytest.UsageError(f"--budget-report={path}: there is no directory {Path(path).parent}. Make it first.")


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> "Iterator[BudgetFixture]":
    """Measures a callable and fails the test unless it holds its budgets, such as "p95 <= 150ms" and "statements <= 3".

    `budget("p95 <= 150ms").measure(function, …)`, or `await budget("p95 <= 150ms").measure_async(function, …)`.
    """
    from harness.budget_fixture import BudgetFixture  # noqa: PLC0415 -- numpy and scipy only where they are needed.

    item = request.node
    verdicts = item.stash.setdefault(_VERDICTS, [])

    def record(verdict: dict[str, Any]) -> None:
        verdicts.append(verdict)
        item.user_properties.append((f"budget: {verdict['budget']}", f"{verdict['outcome']}: {verdict['sentence']}"))

    fixture = BudgetFixture(undecided=_undecided(request.config), record=record)
    yield fixture
    if fixture.unmeasured and item.stash.get(_PASSED, False):
        pytest.fail(
            f"These budgets were stated and never measured: {', '.join(fixture.unmeasured)}. "
            "Call .measure(function), or await .measure_async(function).",
            pytrace=False,
        )


def _undecided(config: pytest.Config) -> "Undecided":
    wanted = config.getoption("budget_undecided") or config.getini("budget_undecided")
    for choice in UNDECIDED_CHOICES:
        if choice == wanted:
            return choice
    raise pytest.UsageError(f"budget_undecided = {wanted}: expected one of {', '.join(UNDECIDED_CHOICES)}.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Gives the report of the call what was judged in it; pytest-xdist carries plain values along."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
        if verdicts := item.stash.get(_VERDICTS, None):
            report.__dict__["budgets"] = verdicts
    return report


class BudgetReport:
    """All budgets of a session, for people at its end and for programs in a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._tests: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        budgets: Sequence[dict[str, Any]] = getattr(report, "budgets", ())
        if budgets:
            self._tests.append({"test": report.nodeid, "budgets": budgets})

    def pytest_sessionfinish(self) -> None:
        if self._path != TERMINAL_ONLY:
            document = {"schema": "anima-harness/pytest-budgets", "schema_version": 1, "tests": self._tests}
            Path(self._path).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("budgets")
        for test in sorted(self._tests, key=lambda test: str(test["test"])):
            terminalreporter.write_line(str(test["test"]))
            for verdict in test["budgets"]:
                outcome = verdict["outcome"]
                terminalreporter.write(f"  {outcome:<9}", **{_COLOURS[outcome]: True})
                terminalreporter.write_line(f" {verdict['budget']}: {verdict['sentence']}")
        if not self._tests:
            terminalreporter.write_line("No budget was judged.")
