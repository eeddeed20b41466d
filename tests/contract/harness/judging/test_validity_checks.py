"""What every validity check promises: a new one in the registry is held to this without an edit."""

import pytest

from harness.judging.validity_checks import VALIDITY_CHECKS
from harness.judging.validity_checks.protocol import ValidityCheck
from harness.record import RunRecord
from tests.records import guide_record, record, sample, variant


@pytest.fixture(params=sorted(VALIDITY_CHECKS))
def check(request: pytest.FixtureRequest) -> ValidityCheck:
    return VALIDITY_CHECKS[request.param]


def test_it_describes_itself(check: ValidityCheck) -> None:
    assert check.meaning[0].isupper()
    assert check.meaning.endswith(".")


@pytest.mark.parametrize(
    "sound",
    [
        guide_record(),
        record(variant("batched", [sample()])),
        record(variant("batched", [sample("query", 0.0)] * 100)),
    ],
)
def test_it_has_nothing_against_a_sound_run_whatever_else_that_does_not_say(
    check: ValidityCheck, sound: RunRecord
) -> None:
    assert list(check.objections(sound)) == []


def test_it_reads_a_run_in_which_nothing_came_to_its_end(check: ValidityCheck) -> None:
    for empty in (record(state="partial", scenario={}), record(variant("batched"), state="partial")):
        assert all(not objection.endswith(".") for objection in check.objections(empty))
