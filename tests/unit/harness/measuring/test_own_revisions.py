"""What of somebody's own scenario is a revision's, and when none of it is."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.measuring.own_revisions import at_revision, repository
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.revisions import Revision
from harness.measuring.scenario_files import parsed

REVISION = Revision("main", "0" * 40)


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a service in a folder of its own, with a schema beside it."""
    repository = tmp_path / "repository"
    (repository / "service").mkdir(parents=True)
    (repository / "schema.sql").touch()
    subprocess.run(["git", "init", "-q", repository], check=True)
    monkeypatch.chdir(repository)
    return repository.resolve()


def scenario(directory: Path, **service: Any) -> OwnScenario:
    started = {"command": ["serve", "{port}"], "directory": "service", "install": ["make"]} | service
    document: dict[str, Any] = {
        "name": "own",
        "target": "http",
        "database": {"schema": "schema.sql"},
        "service": {key: value for key, value in started.items() if value},
        "operations": {"find": {"path": "/"}},
        "phases": [{"requests": 1}],
    }
    chosen = parsed(document, directory)
    assert isinstance(chosen, OwnScenario)
    return chosen


def test_what_lies_in_the_repository_is_that_of_the_checkout(top: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "service").mkdir(parents=True)
    (checkout / "schema.sql").touch()
    chosen = scenario(top)
    assert repository(chosen) == top
    moved = at_revision(chosen, top, REVISION, checkout)
    assert moved.database.schema_files == (checkout / "schema.sql",)
    assert list(moved.installs) == [(checkout / "service", ("make",))]
    assert moved.operations is chosen.operations


def test_a_file_that_the_revision_has_not_is_the_working_tree_s_and_is_noted(top: Path, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "service").mkdir(parents=True)
    notes: list[str] = []
    moved = at_revision(scenario(top), top, REVISION, tmp_path / "checkout", notes.append)
    assert moved.database.schema_files == (top / "schema.sql",)
    assert notes == ["main (0000000000) has no schema.sql: that of the working tree is used."]


def test_a_folder_that_the_revision_has_not_is_refused(top: Path, tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    with pytest.raises(UsageError, match=r"main .* has no folder service, so it cannot be measured"):
        at_revision(scenario(top), top, REVISION, tmp_path / "checkout")


def test_a_service_that_runs_already_is_bound_to_no_revision(top: Path) -> None:
    chosen = scenario(top, command=None, url="http://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"http://127.0.0.1:9 runs already.* State `service.command`"):
        repository(chosen)


@pytest.mark.usefixtures("top")
def test_a_scenario_of_elsewhere_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "service").mkdir(parents=True)
    (elsewhere / "schema.sql").touch()
    with pytest.raises(UsageError, match="Nothing that own names lies in "):
        repository(scenario(elsewhere))
