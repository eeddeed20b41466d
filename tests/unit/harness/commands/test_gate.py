"""What `harness gate` refuses, each with a sentence and exit code 2; nothing is measured for it."""

import subprocess
from pathlib import Path

import pytest

from harness.commands.gate import commit_of_working_tree, gate
from harness.errors import UsageError

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
OWN = 'name = "own"\ntarget = "sql"\noperations.one.sql = "SELECT 1"\nphases = [{ requests = 4 }]\n'


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario where there is no git."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    return tmp_path


def committed(directory: Path) -> None:
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "base")):
        subprocess.run([*GIT, *arguments], cwd=directory, check=True)


def refused(name: str = "own.toml", base: str = "HEAD", cache: Path | None = None, *reports: str) -> str:
    with pytest.raises(UsageError) as error:
        gate(
            scenario_name=name,
            base=base,
            variant=None,
            environment="shared",
            fresh=False,
            cache=cache,
            latencies=None,
            reports=reports,
            settings=(),
            database=None,
            output=Path("reports"),
            waivers_file=None,
        )
    assert not Path("reports").exists()
    return str(error.value)


@pytest.mark.usefixtures("own")
def test_an_unknown_scenario() -> None:
    assert "There is no scenario 'smokes'. Did you mean 'smoke'?" in refused("smokes")


@pytest.mark.usefixtures("own")
def test_no_git() -> None:
    assert "git knows no revision 'HEAD' here: fatal: not a git repository" in refused()


def test_a_base_that_git_does_not_know(own: Path) -> None:
    committed(own)
    assert "git knows no revision 'mian' here" in refused(base="mian")


def test_a_scenario_that_names_nothing_of_the_repository(own: Path) -> None:
    committed(own)
    assert "Nothing that own names lies in" in refused()


def test_a_cache_that_cannot_be_written(own: Path) -> None:
    (own / "schema.sql").write_text("SELECT 1;", encoding="utf-8")
    (own / "own.toml").write_text(f'{OWN}database.schema = "schema.sql"\n', encoding="utf-8")
    committed(own)
    assert "HARNESS_CACHE_DIRECTORY" in refused(cache=own / "own.toml" / "below")


@pytest.mark.parametrize(
    ("report", "said"),
    [("pdf=a.pdf", "The formats are terminal, markdown, html, json, junit"), ("junit", "expected FORMAT=PATH")],
)
@pytest.mark.usefixtures("own")
def test_a_report_that_it_does_not_write(report: str, said: str) -> None:
    assert said in refused("own.toml", "HEAD", None, report)


def test_the_working_tree_is_a_commit_that_changes_nothing_of_the_repository(own: Path) -> None:
    def said(*arguments: str) -> str:
        return subprocess.run([*GIT, *arguments], cwd=own, check=True, capture_output=True, text=True).stdout

    committed(own)
    assert commit_of_working_tree() == "HEAD"
    (own / "own.toml").write_text(f"{OWN}# changed\n", encoding="utf-8")
    before = said("status", "--porcelain"), said("stash", "list"), said("log", "--all", "--format=%H")
    commit = commit_of_working_tree()
    assert said("show", f"{commit}:own.toml") == f"{OWN}# changed\n"
    assert (said("status", "--porcelain"), said("stash", "list"), said("log", "--all", "--format=%H")) == before


@pytest.mark.usefixtures("own")
def test_a_working_tree_without_a_commit_is_told() -> None:
    with pytest.raises(UsageError, match="git cannot make a commit of the working tree"):
        commit_of_working_tree()
