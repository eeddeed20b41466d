"""The suite bites: each of these faults is found within the effort of the profile `ci`, by what it changes."""

import asyncio

import pytest

from harness.measuring.targets.anima.equivalence.verification import look, open_search
from tests.property.equivalence.faults import FAULTS, Fault


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_found(
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
    comparison_url: str,
    runner: asyncio.Runner,
    scripts_in_ci: int,
) -> None:
    fault.plant(monkeypatch)
    with open_search(comparison_url, ["batched"], runner) as search:
        found = look(search, examples=scripts_in_ci, first_seed=0)
    assert found, f"not found in {search.scripts} scripts"
    assert fault.evidence in str(found)
