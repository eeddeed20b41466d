"""The plugin in a pytest of its own: endings, reports and options; and it stays out of the way of who does not ask."""

import json
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy.fft  # noqa: F401 -- pytester forgets what an inner session imported, and numpy cannot be imported twice.
import pytest

import anima_harness_pytest
import harness.budget_fixture  # noqa: F401 -- likewise

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
PLUGIN = "anima_harness_pytest"

TESTS = """
    def test_holds(budget):
        assert budget("p95 <= 10s", "mean <= 10s").measure(divmod, 7, 2) == (3, 1)

    def test_fails(budget):
        budget("max <= 0ms").measure(sum, [1, 2])

    def test_undecided(budget):
        budget("p99 <= 10s", seconds_max=0).measure(sum, [1, 2])

    def test_forgets(budget):
        budget("p95 <= 10s")
"""
ENDINGS = {"passed": 2, "failed": 2, "errors": 1}


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with tests of its own, which asks for the plugin by name as well as by installation."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(TESTS)
    pytester.plugins = [PLUGIN]
    return pytester


def outcomes(project: pytest.Pytester, *arguments: str) -> dict[str, int]:
    return project.runpytest_inprocess("-p", "no:randomly", *arguments).parseoutcomes()


def test_it_can_be_imported_by_an_old_pytest_whose_project_does_not_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Config", "Parser", "StashKey", "Stash", "TestReport", "TerminalReporter"):  # Those of 7.0 and later.
        monkeypatch.delattr(pytest, name)
    assert runpy.run_path(anima_harness_pytest.__file__)["pytest_addoption"]


def test_each_verdict_has_its_ending(project: pytest.Pytester) -> None:
    assert outcomes(project) == ENDINGS


def test_a_failure_is_shown_at_the_line_of_the_test(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("-k", "fails")
    result.stdout.fnmatch_lines(
        [
            '>*budget("max <= 0ms").measure(sum, [[]1, 2[]])',
            "E*Failed: FAIL max <= 0ms: * > 0 µs (* over), in 10 requests*",
        ]
    )
    assert "budget_fixture.py" not in result.stdout.str()


def test_what_is_stated_and_not_measured_is_an_error(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("-k", "forgets")
    result.stdout.fnmatch_lines(["*stated and never measured: p95 <= 10s.*"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("skip", {"failed": 1, "skipped": 1, "passed": 2, "errors": 1}),
        ("pass", {"failed": 1, "passed": 3, "errors": 1}),
    ],
)
def test_undecided_is_for_the_project_to_choose(
    project: pytest.Pytester, choice: str, expected: dict[str, int]
) -> None:
    assert outcomes(project, "--budget-undecided", choice) == expected
    project.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\nbudget_undecided = {choice}\n")
    assert outcomes(project) == expected
    assert outcomes(project, "--budget-undecided=fail") == ENDINGS


def test_a_choice_that_is_none_is_refused(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nbudget_undecided = green\n")
    result = project.runpytest_inprocess("-k", "holds")
    result.stdout.fnmatch_lines(["*budget_undecided = green: expected one of fail, skip, pass.*"])


def test_the_report_names_every_budget_and_its_verdict(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("-p", "no:randomly", "--budget-report")
    result.stdout.fnmatch_lines(
        [
            "*= budgets =*",
            "*::test_fails",
            "  FAIL      max <= 0ms: *",
            "*::test_holds",
            "  PASS      p95 <= 10s: *",
            "  PASS      mean <= 10s: *",
            "*::test_undecided",
            "  UNDECIDED p99 <= 10s: *",
        ]
    )


def written(project: pytest.Pytester, *arguments: str) -> dict[str, Any]:
    project.runpytest_inprocess("--budget-report=out.json", *arguments)
    document: dict[str, Any] = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"], ids=["alone", "xdist"])
def test_the_report_for_programs_is_whole_with_and_without_workers(project: pytest.Pytester, workers: str) -> None:
    document = written(project, "-n", workers)
    assert (document["schema"], document["schema_version"]) == ("anima-harness/pytest-budgets", 1)
    verdicts = {
        (test["test"].partition("::")[2], each["budget"]): each
        for test in document["tests"]
        for each in test["budgets"]
    }
    assert {key: verdict["outcome"] for key, verdict in verdicts.items()} == {
        ("test_holds", "p95 <= 10s"): "PASS",
        ("test_holds", "mean <= 10s"): "PASS",
        ("test_fails", "max <= 0ms"): "FAIL",
        ("test_undecided", "p99 <= 10s"): "UNDECIDED",
    }
    undecided = verdicts["test_undecided", "p99 <= 10s"]
    assert (undecided["limit"], undecided["upper"], undecided["n"]) == (10.0, None, 1)


def test_without_a_budget_the_report_says_so(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_inprocess("-p", PLUGIN, "--budget-report")
    result.stdout.fnmatch_lines(["No budget was judged."])


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("test_x.py", "*expected a file that ends in .json*"), ("no/such/out.json", "*there is no directory no/such*")],
)
def test_a_report_that_cannot_be_written_is_refused_at_once(
    project: pytest.Pytester, path: str, complaint: str
) -> None:
    result = project.runpytest_inprocess("--budget-report", path)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])


def test_verdicts_are_properties_in_junit_xml(project: pytest.Pytester) -> None:
    project.runpytest_inprocess("--junit-xml=out.xml")
    (case,) = [each for each in ET.parse(project.path / "out.xml").iter("testcase") if each.get("name") == "test_holds"]
    properties = {each.get("name"): each.get("value") or "" for each in case.iter("property")}
    assert list(properties) == ["budget: p95 <= 10s", "budget: mean <= 10s"]
    assert all(value.startswith("PASS: ") for value in properties.values())


def test_the_plugin_can_be_left_out(project: pytest.Pytester) -> None:
    project.plugins = []
    result = project.runpytest_inprocess("-p", f"no:{PLUGIN}")
    result.stdout.fnmatch_lines(["*fixture 'budget' not found*"])


def test_a_project_that_does_not_ask_pays_for_no_import() -> None:
    """What measures is imported with the fixture, and pytest itself brings what is left."""
    statement = (
        "import sys, pytest; before = set(sys.modules); import anima_harness_pytest; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {
        PLUGIN,
        "json",
        "json.decoder",
        "json.encoder",
        "json.scanner",
        "_json",
    }


def test_the_entry_point_has_the_name_that_pytest_looks_for_before_it_registers_a_plugin_again() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}


PYTEST_7_4 = """
Cache CallInfo CaptureFixture Class Collector CollectReport Config DoctestItem ExceptionInfo ExitCode File Function
FixtureRequest FixtureLookupError HookRecorder Item LineMatcher LogCaptureFixture Mark MarkDecorator MarkGenerator
Metafunc Module MonkeyPatch OptionGroup Package
Parser PytestPluginManager Pytester RecordedHookCall RunResult Session Stash StashKey TempPathFactory TestReport
UsageError approx deprecated_call exit fail fixture hookimpl hookspec importorskip mark
param raises register_assert_rewrite set_trace skip warns xfail yield_fixture
"""
IMPORT_UNDER_PYTEST_7_4 = f"""
import importlib.util, sys, types
import pytest
names = [name for name in {PYTEST_7_4!r}.split() if hasattr(pytest, name)]
sys.modules["pytest"] = types.SimpleNamespace(**{{name: getattr(pytest, name) for name in names}})
import anima_harness_pytest
print("imported")
"""


def test_it_needs_nothing_that_the_oldest_pytest_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_UNDER_PYTEST_7_4], capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n", done.stderr
    options = anima_harness_pytest.pytest_runtest_makereport.pytest_impl  # type: ignore[attr-defined]
    assert options["hookwrapper"], "the kind of wrapper that every pluggy knows"


FLAKY = """
    import time

    attempts = {"flaky": 0, "absent": 0}

    def test_flaky(budget):
        attempts["flaky"] += 1
        budget("max <= 1ms" if attempts["flaky"] == 1 else "max <= 10s").measure(time.sleep, 0.002)

    def test_absent(budget):
        attempts["absent"] += 1
        if attempts["absent"] == 1:
            budget("max <= 1ms").measure(time.sleep, 0.002)
"""
RERUNS = """
    import pytest
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if any(report.failed for report in reports):
            for report in reports:
                report.outcome = "rerun" if report.failed else report.outcome
                item.ihook.pytest_runtest_logreport(report=report)
            item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        return True
"""


def verdicts_of(document: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    return {
        test["test"].partition("::")[2]: [(each["budget"], each["outcome"]) for each in test["budgets"]]
        for test in document["tests"]
    }


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"], ids=["alone", "xdist"])
def test_of_a_test_that_is_run_again_the_last_attempt_counts(pytester: pytest.Pytester, workers: str) -> None:
    """As pytest-rerunfailures runs it: the same item, once more."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(FLAKY)
    pytester.makeconftest(RERUNS)
    pytester.plugins = [PLUGIN]
    document = written(pytester, "-n", workers, "--dist=loadfile", "-p", "no:randomly", "--junit-xml=out.xml")
    assert verdicts_of(document) == {"test_flaky": [("max <= 10s", "PASS")]}
    attempts = ET.parse(pytester.path / "out.xml").iter("testcase")
    flaky = [
        [each.get("name") for each in case.iter("property")] for case in attempts if case.get("name") == "test_flaky"
    ]
    assert flaky == [["budget: max <= 1ms"], ["budget: max <= 10s"]], "each has the verdict of its own attempt"


SUBTESTS = """
    import time
    import pytest

    def test_parts(budget, subtests):
        for number in range(2):
            with subtests.test(number=number):
                budget(f"max <= 1{number}s").measure(sum, [])

    @pytest.fixture
    def measured(budget):
        budget("max <= 1ms").measure(time.sleep, 0.002)

    def test_never_called(measured):
        pass
"""


def test_each_verdict_is_listed_once_though_subtests_report_too(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(SUBTESTS)
    pytester.plugins = [PLUGIN]
    assert verdicts_of(written(pytester, "-p", "no:randomly", "--junit-xml=out.xml")) == {
        "test_parts": [("max <= 10s", "PASS"), ("max <= 11s", "PASS")],
        "test_never_called": [("max <= 1ms", "FAIL")],
    }
    properties = [each.get("name") for each in ET.parse(pytester.path / "out.xml").iter("property")]
    assert sorted(map(str, properties)) == ["budget: max <= 10s", "budget: max <= 11s", "budget: max <= 1ms"]


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--setup-only"])
def test_an_old_report_stays_where_no_test_is_run(project: pytest.Pytester, option: str) -> None:
    (project.path / "out.json").write_text('{"kept": true}', encoding="utf-8")
    assert written(project, option) == {"kept": True}


NEEDS_NO_ASYNCIO = """
    def test_without_asyncio(budget):
        async def answer():
            return 1

        async def main():
            return await budget("max <= 10s").measure_async(answer)

        try:
            main().send(None)
        except StopIteration as ended:
            assert ended.value == 1
"""


def test_an_event_loop_need_not_be_asyncios(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(NEEDS_NO_ASYNCIO)
    pytester.plugins = [PLUGIN]
    assert outcomes(pytester) == {"passed": 1}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["harness.py", "harness/__init__.py"])
def test_a_project_with_a_package_harness_of_its_own_runs_its_tests_and_is_told(
    pytester: pytest.Pytester, place: str
) -> None:
    pytester.makeini("[pytest]\npythonpath = .\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile("import harness\ndef test_own(): assert harness.own\ndef test_budget(budget): pass")
    (pytester.path / place).parent.mkdir(exist_ok=True)
    (pytester.path / place).write_text("own = True\n", encoding="utf-8")
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines([f"*in a package `harness`, and here that is another: *{place}. Rename that one*"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_report_that_cannot_be_written_costs_neither_the_list_nor_what_the_tests_said(
    project: pytest.Pytester,
) -> None:
    (project.path / "full.json").symlink_to("/dev/full")
    result = project.runpytest_inprocess("-p", "no:randomly", "--budget-report=full.json", "-k", "holds")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(
        ["*= budgets =*", "  PASS *", "full.json could not be written (No space left on device)*"]
    )


def test_a_report_is_not_written_over_a_directory(project: pytest.Pytester) -> None:
    project.mkdir("out.json")
    result = project.runpytest_inprocess("--budget-report=out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*out.json: this is a directory. Name a file in it.*"])
