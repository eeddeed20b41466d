"""`harness waive`, and what `report` makes of its file."""

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest

from harness import runs
from harness.cli import tell
from harness.command_line import harness
from harness.commands._shared.waiver_files import for_record, load_waivers, not_in_base
from harness.commands.run import Wanted
from harness.errors import ExitCode, HarnessError, UsageError
from harness.judging.waivers import Waiver
from harness.record import ComparisonSettings
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.report import report_of
from tests.records import record, samples, variant
from tests.unit.harness.judging.test_waivers import run

SCENARIO = """name = "notes"
target = "sql"
operations.query.sql = "SELECT 1"
budgets = ["query.statements <= 3", "query.p95 <= 300ms"]
phases = [{ requests = 80 }]
"""
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date()
STATEMENTS = "query.statements <= 3"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.toml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "reports" / "one").mkdir(parents=True)
    measured = run(STATEMENTS, "query.p95 <= 300ms", started_at=datetime.now(UTC))
    runs.write_record(tmp_path / "reports" / "one", measured)
    return tmp_path


def main(*arguments: str) -> ExitCode:
    try:
        code: ExitCode = harness.main(list(arguments), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except HarnessError as error:
        return tell(error)
    return code


def waive(budget: str = STATEMENTS, *more: str) -> ExitCode:
    stated = ("--scenario", "notes.toml", "--reason", 'one "more" column', "--owner", "ana")
    return main("waive", budget, *stated, "--expires", str(TOMORROW), *more)


def unwrapped(text: str) -> str:
    """Whatever the width of the terminal."""
    return " ".join(text.split())


def test_a_run_that_failed_passes_with_its_waiver_and_says_so_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("report", "one") == ExitCode.FAIL
    assert waive() == ExitCode.PASS
    capsys.readouterr()
    assert main("report", "one") == ExitCode.PASS
    shown = unwrapped(capsys.readouterr().out)
    assert "PASS WITH WAIVERS Of 2 budgets, 1 waived." in shown
    assert (
        f'WAIVED {STATEMENTS}: 5 > 3 (2 over), in 80 requests. Waived by ana until {TOMORROW}: one "more" column.'
        in shown
    )


def test_every_format_names_it() -> None:
    waive()
    report = report_of(runs.load_record(Path("reports/one")), load_waivers(None))
    for name, renderer in RENDERERS.items():
        text = rendered(report, renderer)
        assert "PASS WITH WAIVERS" in text, name
        assert "ana" in text, name
    document = json.loads(rendered(report, RENDERERS["json"]))["verdict"]
    assert document["budgets"][0]["waiver"]["owner"] == "ana"
    suite = ET.fromstring(rendered(report, RENDERERS["junit"]))[0]
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "1")
    assert f"::warning title=WAIVED%3A batched%3A {STATEMENTS}::" in rendered(report, RENDERERS["github"])


def test_what_stands_in_the_file_stays_with_its_comments() -> None:
    before = f"""# Who asks: the team.

[[waiver]]
scenario = "notes"  # of the service
budget = "query.p95 <= 300ms"
reason = "slow disk"
owner = "bo"
expires = {TOMORROW}
"""
    Path("waivers.toml").write_text(before, encoding="utf-8")
    assert waive("query.statements<=3", "--up-to", "9") == ExitCode.PASS
    after = Path("waivers.toml").read_text(encoding="utf-8")
    assert after.startswith(before)
    assert load_waivers(None)[1] == Waiver(
        scenario="notes", budget=STATEMENTS, up_to="9", reason='one "more" column', owner="ana", expires=TOMORROW
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query.statements <= 2"], "notes has no such budget. Did you mean 'query.statements <= 3'?"),
        (["query.statments <= 3"], "unknown metric 'statments'. Did you mean 'statements'?"),
        ([STATEMENTS, "--up-to", "3"], "up_to 3 accepts nothing that the budget does not"),
        ([STATEMENTS, "--up-to", "3ms"], "statements is a count"),
        ([STATEMENTS, "--owner", " "], "'--owner' has to be a text of 1 or more characters"),
        ([STATEMENTS, "--expires", "2001-01-01"], "--expires 2001-01-01: that day is over"),
        ([STATEMENTS, "--expires", "soon"], "does not match the format"),
        ([STATEMENTS, "--scenario", "none.toml"], "There is no scenario file none.toml"),
        ([STATEMENTS, "--waivers", "notes.toml"], "there is nothing in it but [[waiver]] entries"),
    ],
)
def test_what_cannot_be_waived_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waive(*arguments) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not Path("waivers.toml").exists()


def test_a_second_waiver_of_one_budget_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert (waive(), waive()) == (ExitCode.PASS, ExitCode.USAGE)
    assert "waivers.toml: query.statements <= 3 of notes is waived there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("waiver = 3", r"nothing in it but \[\[waiver\]\] entries"),
        ("[[waivers]]", r"nothing in it but \[\[waiver\]\] entries, and \['waivers'\] is none"),
        ("[[waiver]", "not readable as TOML"),
        ('[[waiver]]\nscenario = "notes"', "waivers.toml, waiver 1: 'reason' is missing"),
        ("waiver = [1]", "waivers.toml, waiver 1: it has to be a table"),
        (
            '[[waiver]]\nscenario="n"\nreason="r"\nowner="o"\nexpires=2026-01-01',
            "waiver 1: state `budget`, or `figure`",
        ),
        ('[[waiver]]\nscenario="n"\nbudget="p95"\nreason="r"\nowner="o"\nexpires=2026-01-01', "waiver 1: "),
        (
            '[[waiver]]\nscenario="n"\nbudget="a.max<=1s"\nreason="r"\nowner="o"\nexpires="soon"',
            "1: 'expires' has to be a day",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_place(text: str, message: str) -> None:
    Path("waivers.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        load_waivers(None)


def test_a_file_that_is_named_has_to_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_waivers(None) == ()
    assert main("report", "one", "--waivers", "gone.toml") == ExitCode.USAGE
    assert "gone.toml cannot be read (No such file or directory). `harness waive` begins such a file." in (
        capsys.readouterr().err
    )


def test_a_waiver_of_no_budget_is_told_before_anything_is_measured() -> None:
    waive()
    Path("notes.toml").write_text(SCENARIO.replace("statements <= 3", "statements <= 4"), encoding="utf-8")
    wanted = Wanted("notes.toml", (), None, None, load_waivers(None))
    with pytest.raises(UsageError, match=r"has no such budget\. Did you mean 'query\.statements <= 4'"):
        wanted.choose()
    assert main("run", "notes.toml") == ExitCode.USAGE
    assert list(Path("reports").iterdir()) == [Path("reports/one")]


PAGE = Path(__file__).parents[4] / "docs/how-to/waivers.md"


def test_the_page_writes_the_file_that_it_shows_and_gets_the_verdict_that_it_shows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    command, file, verdict, figure = re.findall(r"^```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    budgets = ("newest.statements <= 3", "newest.p95 <= 300ms")
    Path("performance.toml").write_text(
        f'name = "notes"\ntarget = "sql"\noperations.newest.sql = "SELECT 1"\nbudgets = {json.dumps(budgets)}\n'
        "phases = [{ requests = 80 }]\n",
        encoding="utf-8",
    )
    assert main(*shlex.split(command)[1:]) == ExitCode.PASS
    assert Path("waivers.toml").read_text(encoding="utf-8") == file.removeprefix("# waivers.toml\n")
    measured = record(
        variant("batched", samples([0.1] * 80, "newest", statements=5)),
        scenario={"name": "notes", "budgets": list(budgets)},
    )
    runs.write_record(Path("reports/one"), measured)
    capsys.readouterr()
    assert main("report", "one") == ExitCode.PASS
    shown = unwrapped(capsys.readouterr().out)
    assert [line for line in verdict.splitlines() if unwrapped(line) not in shown] == []
    assert main(*shlex.split(figure)[1:]) == ExitCode.PASS
    assert load_waivers(None)[1].figure == "newest statements"


def test_a_figure_that_nobody_compares_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert waive("query statments", "--figure") == ExitCode.USAGE
    assert "has no such figure. Did you mean 'query statements'?" in capsys.readouterr().err
    assert waive("query statements", "--figure", "--up-to", "4") == ExitCode.USAGE
    assert "of a figure it is a share, such as 30%" in capsys.readouterr().err


def test_a_waiver_counts_against_a_base_that_has_it_not(project: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=ana", "-c", "user.email=ana@localhost")
        return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "Begin")
    waive("query statements", "--figure")
    waivers = load_waivers(None)
    assert not_in_base(waivers, None, git("rev-parse", "HEAD")) == waivers
    git("add", "waivers.toml")
    git("commit", "-q", "-m", "Accept more statements")
    assert not_in_base(waivers, None, git("rev-parse", "HEAD")) == ()
    waive("query rows", "--figure")
    (new,) = not_in_base(load_waivers(None), None, git("rev-parse", "HEAD"))
    assert new.figure == "query rows"
    stored = runs.load_record(project / "reports" / "one")
    settings = ComparisonSettings(baseline="main", candidate="HEAD", margin=0.05)
    asked = stored.model_copy(update={"comparison": settings})
    assert for_record(stored, None) == load_waivers(None)
    assert for_record(asked, None) == ()
    between = asked.model_copy(update={"scenario": {"revisions": {"main": git("rev-parse", "HEAD")}}})
    assert for_record(between, None) == (new,)
