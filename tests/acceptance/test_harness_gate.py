"""`harness gate` in a repository of its own: unchanged code passes, and each planted regression fails and is named."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.planted_in_a_gate import REGRESSIONS, PlantedRegression, gated, make_repository, plant

pytestmark = pytest.mark.slow

BY_ITSELF = ("a pool of one", "a sequential scan at ten times the corpus")
"""Are found by what no other test compares for real."""

PLANTED = [
    pytest.param(each, id=each.name, marks=() if each.name in BY_ITSELF else pytest.mark.nightly)
    for each in REGRESSIONS
    if each.name in {*BY_ITSELF, "one more statement per result", "a lost index"}
]
"""The quickest of each kind; benchmarks/planted_in_a_gate.py plants all of them."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its base is counted once: what is kept of it serves every gate after the first."""
    directory = tmp_path_factory.mktemp("notebook")
    make_repository(directory)
    first = gated(directory)
    assert first.exit_code == 0, first.said
    return directory


@pytest.mark.parametrize("regression", PLANTED)
def test_a_planted_regression_fails_the_gate_and_is_named(repository: Path, regression: PlantedRegression) -> None:
    plant(repository, regression)
    outcome = gated(repository)
    assert outcome.exit_code == 1, outcome.said
    assert [each for each in outcome.worse if regression.found_by in each], outcome.said


def test_what_the_gate_kept_is_used_and_made_again_where_it_is_broken(repository: Path) -> None:
    for path in (repository / ".git" / "kept").glob("*/*"):
        path.write_bytes(b"broken")
    subprocess.run(["git", "checkout", "-q", "."], cwd=repository, check=True)
    outcome = gated(repository)
    assert outcome.exit_code == 0, outcome.said
    assert "is broken: it is loaded again" in outcome.said
    assert "are broken: they are counted again" in outcome.said
    assert "name what a change is held against with --base" in outcome.said
