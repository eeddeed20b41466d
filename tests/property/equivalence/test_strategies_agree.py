"""Every preset, and every choice on every axis, does what the contract as a program does.

Each is compared with the reference, so any two of them also agree with each other.
"""

import asyncio

import pytest

from harness.commands.verify import disagreement
from harness.measuring.targets.anima.equivalence.choices import distinct, exact_presets, single_choices
from harness.measuring.targets.anima.equivalence.verification import look, open_search, shortened
from harness.measuring.targets.anima.target import counterexample

pytestmark = pytest.mark.timeout(3600)  # At night a search is long.


WHOLE = frozenset({"naive", "batched", "frontier"})
"""What people run. The others show which choice it is that disagrees."""


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(name, marks=() if name in WHOLE else pytest.mark.slow)
        for name in distinct((*exact_presets(), *single_choices()))
    ],
)
def test_strategy_does_what_the_contract_says(
    strategy: str, comparison_url: str, runner: asyncio.Runner, scripts: int, first_seed: int
) -> None:
    with open_search(comparison_url, [strategy], runner) as search:
        found = look(search, examples=scripts, first_seed=first_seed)
        if found:
            pytest.fail(disagreement(counterexample(shortened(search, found))), pytrace=False)
