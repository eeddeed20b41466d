"""What the machine draws: a search that seldom meets a case says little about it."""

import asyncio

import pytest

from harness.measuring.targets.anima.equivalence.machine import CounterexampleSearch
from harness.measuring.targets.anima.equivalence.sources import ScriptClock
from harness.measuring.targets.anima.equivalence.verification import look

SCRIPTS = 200

CASES = {
    "add: exact duplicate",
    "add: nearest just below 0.95",
    "bootstrap: all three tiers",
    "bootstrap: more active memories than the limit",
    "bootstrap: tie decided by id",
    "merge: at 0.95 exactly",
    "merge: at 0.98 exactly",
    "merge: elsewhere",
    "merge: equally near memories",
    "merge: of a catalyst",
    "merge: phi at its cap",
    "query: over a hundred pairs",
    "query: phi at its cap",
    "query: promotion to stable",
    "query: promotion to thread",
    "query: similarity at the threshold",
    "query: tie decided by id",
    "query: tie decided by phi",
}


@pytest.mark.slow
def test_every_case_is_met_by_more_than_one_script_in_a_hundred() -> None:
    """Without strategies a script is done by the reference alone, in milliseconds."""
    with asyncio.Runner() as runner:
        search = CounterexampleSearch((), ScriptClock(), runner)
        assert look(search, examples=SCRIPTS, first_seed=0) is None
    seldom = {case for case in CASES if search.met[case] <= SCRIPTS / 100}
    assert not seldom, search.met
    assert set(search.met) == CASES
