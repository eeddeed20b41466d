"""`harness budgets`: a scenario file gets tighter budgets and keeps all else, and what cannot be done is said."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import runs
from harness.commands.budgets import SuggestionMode, budgets
from harness.errors import ExitCode, UsageError
from tests.unit.harness.judging.test_suggestions import measured

FILE = """# What a query may cost.
name = "own"
target = "sql"
operations.query.sql = "SELECT 1"
phases = [{ requests = 4 }]
budgets = [
    # One for each: 3 measured.
    "query.statements <= 7",  # not nine
    'query.wal_bytes_per_op <= 300kB',
    "query.server_cpu_ms_per_op <= 11",
    "query.errors <= 0%",
]
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports" / "one").mkdir(parents=True)
    runs.write_record(tmp_path / "reports" / "one", measured())
    path = tmp_path / "own.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def asked(
    scenario: str | None = "own.toml", *, mode: SuggestionMode = "suggest", only: Sequence[str] = (), run: str = "one"
) -> ExitCode:
    return budgets(
        names=(run,), mode=mode, scenario_name=scenario, only=tuple(only), timed=False, output=Path("reports")
    )


def changed(*pairs: tuple[str, str]) -> str:
    text = FILE
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    return text


STATEMENTS = ("query.statements <= 7", "query.statements <= 3")
BYTES = ("query.wal_bytes_per_op <= 300kB", "query.wal_bytes_per_op <= 120kB")
CPU = ("server_cpu_ms_per_op <= 11", "server_cpu_ms_per_op <= 12")


def test_the_file_gets_them_and_keeps_its_comments(scenario: Path) -> None:
    assert asked() == ExitCode.PASS
    assert scenario.read_text(encoding="utf-8") == changed(STATEMENTS, BYTES, CPU)


def test_a_ratchet_turns_one_way(scenario: Path) -> None:
    asked(mode="ratchet")
    assert scenario.read_text(encoding="utf-8") == changed(STATEMENTS, BYTES)


def test_only_what_is_named_is_changed(scenario: Path) -> None:
    asked(only=["query.statements"])
    assert scenario.read_text(encoding="utf-8") == changed(STATEMENTS)


def test_without_a_scenario_nothing_is_written(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="has no budget to tighten"):
        asked(None)
    assert scenario.read_text(encoding="utf-8") == FILE
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("scenario")
def test_a_budget_that_the_file_does_not_have() -> None:
    with pytest.raises(UsageError, match=r"--only query\.statement_count: there is no such budget"):
        asked(only=["query.statement_count"])


@pytest.mark.usefixtures("scenario")
def test_a_run_that_is_none() -> None:
    with pytest.raises(UsageError, match="There is no run 'other'"):
        asked(run="other")


def test_a_file_that_is_no_toml(scenario: Path) -> None:
    scenario.write_text("budgets = [", encoding="utf-8")
    with pytest.raises(UsageError, match=r"own\.toml: not readable as TOML"):
        asked()


@pytest.mark.parametrize(
    "broken",
    [
        FILE.replace("# not nine", '# "query.statements <= 7"'),
        FILE.replace('"query.statements <= 7"', '"query.statements \\u003c= 7"'),
    ],
    ids=["twice", "escaped"],
)
def test_a_budget_that_cannot_be_found_in_the_text_is_left_to_a_person(scenario: Path, broken: str) -> None:
    scenario.write_text(broken, encoding="utf-8")
    with pytest.raises(UsageError, match="does not stand there once, as it is"):
        asked()
    assert scenario.read_text(encoding="utf-8") == broken
