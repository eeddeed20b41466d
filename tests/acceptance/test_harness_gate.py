"""`harness gate` in a repository of its own: unchanged code passes, and each planted regression fails and is named."""

from pathlib import Path

import pytest

from benchmarks.planted_in_a_gate import REGRESSIONS, GateOutcome, gated, make_repository, plant
from harness.judging.gate import ROUNDS
from tests.acceptance import warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLANTED = {each.name: each for each in REGRESSIONS}
TOGETHER = ("a lost index", "the vector column fetched needlessly", "doubled WAL", "a pool of one")
"""Regressions that one gate finds, each by a figure of its own: in counts alone, so that nothing is measured again."""

AT_NIGHT = (
    ("a sequential scan at ten times the corpus",),
    ("one more statement per result",),
    ("a cache that never hits",),
    ("a lock across the embedding call",),
    ("an extra round trip", "memory that grows by a kilobyte a request"),
    ("temporary files",),
    ("pg_sleep(0.001) in one statement",),
    ("a quadratic loop of 1 ms in the client",),
)
"""Show in times too, which are measured again; benchmarks/planted_in_a_gate.py plants each by itself."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its base is counted: what is kept of it serves the gates after the first."""
    directory = tmp_path_factory.mktemp("notebook")
    make_repository(directory)
    first = gated(directory, warm.run)
    assert first.exit_code == 0, first.said
    assert "name what a change is held against with --base" in first.said
    return directory


def assert_found(repository: Path, names: tuple[str, ...]) -> GateOutcome:
    regressions = [PLANTED[name] for name in names]
    plant(repository, *regressions)
    outcome = gated(repository, warm.run)
    assert outcome.exit_code == 1, outcome.said
    for regression in regressions:
        assert [each for each in outcome.worse if regression.found_by in each], (regression.name, outcome.said)
    return outcome


def test_planted_regressions_are_named_and_what_was_kept_is_made_again_where_it_is_broken(repository: Path) -> None:
    for path in (repository / ".git" / "kept").glob("*/*"):
        path.write_bytes(b"broken")
    outcome = assert_found(repository, TOGETHER)
    assert "is broken: it is loaded again" in outcome.said
    assert "are broken: they are counted again" in outcome.said


@pytest.mark.nightly
@pytest.mark.parametrize("names", AT_NIGHT, ids=", ".join)
def test_what_shows_in_times_too_fails_the_gate_and_is_named(repository: Path, names: tuple[str, ...]) -> None:
    outcome = assert_found(repository, names)
    if names == ("pg_sleep(0.001) in one statement",):
        assert outcome.said.count("Measured again, both sides in turn") == ROUNDS - 1, outcome.said


def test_every_regression_is_planted() -> None:
    assert sorted(name for names in (TOGETHER, *AT_NIGHT) for name in names) == sorted(PLANTED)
