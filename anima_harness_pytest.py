"""The pytest plugin: a fixture `budget` that measures a callable and holds it to budgets, and a report of them.

    def test_search(budget):
        budget("p95 <= 150ms", "statements <= 3").measure(search, "a question")

pytest imports this file in every project that has the package installed, so it imports nothing but pytest itself, and
of that only what every pytest has that runs under this Python; what measures and judges is imported by the first test
that asks for the fixture. It lies beside the packages, under a name that nobody else has: a project may have a package
`harness` of its own.
"""

import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import pytest

if TYPE_CHECKING:
    from harness.commands._shared.budget_fixture import BudgetFixture, Undecided
    from harness.commands._shared.lent_database import LentServer

PROPERTY: Final = "budget: "
"""What begins the name of a verdict among the properties of a test case."""

UNDECIDED_CHOICES: Final[tuple["Undecided", ...]] = ("fail", "skip", "pass")
TERMINAL_ONLY: Final = ""
_COLOURS: Final = {"PASS": "green", "FAIL": "red", "INVALID": "red", "UNDECIDED": "yellow"}


@dataclass
class Attempt:
    """A test, run once."""

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    passed: bool = False


_attempts: Final[WeakKeyDictionary[pytest.Item, Attempt]] = WeakKeyDictionary()


def pytest_addoption(parser: "pytest.Parser") -> None:
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


def pytest_configure(config: "pytest.Config") -> None:
    path = config.getoption("budget_report")
    if path not in (None, TERMINAL_ONLY):
        _check_path(path)
    # With pytest-xdist the workers measure, and the controller hears of it in their reports.
    if path is not None and not hasattr(config, "workerinput") and not _runs_no_test(config):
        config.pluginmanager.register(BudgetReport(path), "budget-report")


def _runs_no_test(config: "pytest.Config") -> bool:
    """Whether pytest only shows what it would do: that is no reason to overwrite what was measured before."""
    return any(config.getoption(name, default=False) for name in ("collectonly", "setuponly", "setupplan"))


def _check_path(path: str) -> None:
    if not path.endswith(".json"):
        raise pytest.UsageError(
            f"--budget-report={path}: expected a file that ends in .json. Without one, write --budget-report last."
        )
    if Path(path).is_dir():
        raise pytest.UsageError(f"--budget-report={path}: this is a directory. Name a file in it.")
    if not Path(path).parent.is_dir():
        raise pytest.UsageError(f"--budget-report={path}: there is no directory {Path(path).parent}. Make it first.")


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> "Iterator[BudgetFixture]":
    """Measures a callable and fails the test unless it holds its budgets, such as "p95 <= 150ms" and "statements <= 3".

    `budget("p95 <= 150ms").measure(function, …)`, or `await budget("p95 <= 150ms").measure_async(function, …)`.
    """
    _refuse_another_harness()
    from harness.commands._shared.budget_fixture import BudgetFixture  # noqa: PLC0415 -- numpy and scipy only where they are needed.
    from harness.commands._shared.sent_statements import counted_statements  # noqa: PLC0415 -- likewise.

    item = request.node
    attempt = _attempts[item]

    def record(verdict: dict[str, Any]) -> None:
        attempt.verdicts.append(verdict)
        item.user_properties.append((f"{PROPERTY}{verdict['budget']}", f"{verdict['outcome']}: {verdict['sentence']}"))

    fixture = BudgetFixture(undecided=_undecided(request.config), record=record)
    with counted_statements():
        yield fixture
    if fixture.unmeasured and attempt.passed:
        pytest.fail(
            f"These budgets were stated and never measured: {', '.join(fixture.unmeasured)}. "
            "Call .measure(function), or await .measure_async(function).",
            pytrace=False,
        )


@pytest.fixture(scope="session")
def budget_schema() -> "Callable[[str], object] | None":
    """Override this with a function that makes at the URL it is given what every test finds in `budget_database`."""
    return None


@pytest.fixture(scope="session")
def budget_server(budget_schema: "Callable[[str], object] | None") -> "Iterator[LentServer]":
    """One for the session, and for each worker of pytest-xdist."""
    _refuse_another_harness()
    from harness.commands._shared.lent_database import lent_server  # noqa: PLC0415 -- as in `budget`.
    from harness.errors import HarnessError  # noqa: PLC0415

    with ExitStack() as stack:
        try:
            with pytest.MonkeyPatch.context() as environment:
                _forget_other_servers(environment)
                server = stack.enter_context(lent_server(budget_schema))
        except HarnessError as error:
            refusal = str(error)
        else:
            yield server
            return
    pytest.fail(refusal, pytrace=False)


@pytest.fixture
def budget_database(
    budget: "BudgetFixture", budget_server: "LentServer", monkeypatch: pytest.MonkeyPatch
) -> "Iterator[str]":
    """The URL of a database of the test's own, on a PostgreSQL that nobody else uses.

    While the test runs there are no PG variables, which would lead its driver to another server. On it, budgets may
    be about `plan`, `wal_bytes_per_op`, `rows_per_op` and `blocks_per_op`.
    """
    _forget_other_servers(monkeypatch)
    with budget_server.database() as database:
        budget.lent = database
        yield database.url


def _forget_other_servers(environment: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        environment.delenv(name)


def _refuse_another_harness() -> None:
    """Fails the test where `harness` is a package of the project's, which hides the one that measures."""
    import harness  # noqa: PLC0415 -- by then the project has decided which it is.

    ours = os.path.realpath(Path(__file__).with_name("harness"))
    if ours not in map(os.path.realpath, getattr(harness, "__path__", ())):
        pytest.fail(
            f"The fixture `budget` is in a package `harness`, and here that is another: {harness.__file__}. "
            "Rename that one, or run these tests where it is not on the path.",
            pytrace=False,
        )


def _undecided(config: "pytest.Config") -> "Undecided":
    wanted = config.getoption("budget_undecided") or config.getini("budget_undecided")
    for choice in UNDECIDED_CHOICES:
        if choice == wanted:
            return choice
    raise pytest.UsageError(f"budget_undecided = {wanted}: expected one of {', '.join(UNDECIDED_CHOICES)}.")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that is run again, as by pytest-rerunfailures, begins without the verdicts of the attempt before."""
    _attempts[item] = Attempt()
    item.user_properties[:] = [each for each in item.user_properties if not each[0].startswith(PROPERTY)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> "Generator[None, Any]":
    """Gives each report what was judged until then; pytest-xdist carries plain values along.

    A wrapper of the old kind, which every pluggy knows.
    """
    outcome = yield
    report = outcome.get_result()
    attempt = _attempts.get(item, Attempt())
    if report.when == "call":
        attempt.passed = report.passed
    if attempt.verdicts:
        report.__dict__["budgets"] = list(attempt.verdicts)


class BudgetReport:
    """All budgets of a session, for people at its end and for programs in a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._unwritten = ""
        self._budgets: dict[str, Sequence[dict[str, Any]]] = {}
        """Of each test what its last report says: earlier ones are of an attempt before, of a step or of a subtest."""

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        budgets: Sequence[dict[str, Any]] = getattr(report, "budgets", ())
        if budgets:
            self._budgets[report.nodeid] = budgets
        elif report.when == "setup":
            self._budgets.pop(report.nodeid, None)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._path == TERMINAL_ONLY:
            return
        try:
            self._write()
        except OSError as error:
            self._unwritten = f"{self._path} could not be written ({error.strerror}). Name another place, or free some."
            # What the tests said goes first; but a report that is missing is nothing that went well.
            session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR

    def _write(self) -> None:
        tests = [{"test": test, "budgets": budgets} for test, budgets in self._budgets.items()]
        document = {"schema": "anima-harness/pytest-budgets", "schema_version": 1, "tests": tests}
        Path(self._path).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        terminalreporter.section("budgets")
        for test, budgets in sorted(self._budgets.items()):
            terminalreporter.write_line(test)
            for verdict in budgets:
                outcome = verdict["outcome"]
                terminalreporter.write(f"  {outcome:<9}", **{_COLOURS[outcome]: True})
                terminalreporter.write_line(f" {verdict['budget']}: {verdict['sentence']}")
        if not self._budgets:
            terminalreporter.write_line("No budget was judged.")
        if self._unwritten:
            terminalreporter.write_line(self._unwritten, red=True)
