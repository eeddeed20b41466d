"""`frontier` by its index, however few memories there are, and its own faults: the suite finds each of them."""

import asyncio
from collections.abc import Sequence

import pytest

from harness.commands.verify import disagreement
from harness.measuring.targets.anima.equivalence.steps import ScriptStep
from harness.measuring.targets.anima.equivalence.verification import look, open_search, replay, shortened
from harness.measuring.targets.anima.target import counterexample
from tests.property.equivalence.faults import Fault
from tests.property.equivalence.frontier_faults import FAULTS, INDEX_FAULTS, STATED


@pytest.fixture
def by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a script has too few memories for it."""
    monkeypatch.setattr("anima.recalls.one_statement.RANKED_AT_ONCE", -1)


@pytest.mark.slow
@pytest.mark.usefixtures("by_index")
@pytest.mark.timeout(3600)
def test_by_its_index_too_it_does_what_the_contract_says(
    comparison_url: str, runner: asyncio.Runner, scripts: int, first_seed: int
) -> None:
    with open_search(comparison_url, ["frontier"], runner) as search:
        found = look(search, examples=scripts, first_seed=first_seed)
        if found:
            pytest.fail(disagreement(counterexample(shortened(search, found))), pytrace=False)


def is_found(fault: Fault, url: str, runner: asyncio.Runner, scripts: int) -> bool:
    with open_search(url, ["frontier"], runner) as search:
        found = look(search, examples=scripts, first_seed=0)
    assert found, f"not found in {search.scripts} scripts"
    return fault.evidence in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_found(
    fault: Fault, monkeypatch: pytest.MonkeyPatch, comparison_url: str, runner: asyncio.Runner, scripts_in_ci: int
) -> None:
    fault.plant(monkeypatch)
    assert is_found(fault, comparison_url, runner, scripts_in_ci)


@pytest.mark.slow
@pytest.mark.usefixtures("by_index")
@pytest.mark.parametrize("fault", INDEX_FAULTS, ids=lambda fault: fault.name)
def test_fault_of_the_index_is_found(
    fault: Fault, monkeypatch: pytest.MonkeyPatch, comparison_url: str, runner: asyncio.Runner, scripts_in_ci: int
) -> None:
    fault.plant(monkeypatch)
    assert is_found(fault, comparison_url, runner, scripts_in_ci)


@pytest.mark.slow
@pytest.mark.usefixtures("by_index")
@pytest.mark.parametrize(("fault", "steps"), STATED, ids=[fault.name for fault, _ in STATED])
def test_fault_that_a_drawn_script_seldom_meets_is_found_by_one_that_does(
    fault: Fault,
    steps: Sequence[ScriptStep],
    monkeypatch: pytest.MonkeyPatch,
    comparison_url: str,
    runner: asyncio.Runner,
) -> None:
    with open_search(comparison_url, ["frontier"], runner) as search:
        assert replay(search, steps) is None
    fault.plant(monkeypatch)
    with open_search(comparison_url, ["frontier"], runner) as search:
        assert fault.evidence in str(replay(search, steps))
