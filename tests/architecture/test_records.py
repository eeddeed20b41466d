"""The records that tests are written with have the shape of those that runs leave."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.judging.declaration import declaration_of
from harness.measuring.scenario_files import stored
from harness.record import RunRecord
from harness.runs import load_record
from tests.records import LADDER, SCENARIO, guide_record

REFERENCE = Path(__file__).parents[2] / "reports" / "reference"


@pytest.fixture(scope="module")
def real() -> RunRecord:
    return load_record(REFERENCE)


def test_its_scenario_is_one_that_can_be_measured() -> None:
    measured = stored("guide", guide_record().scenario, None)
    assert measured.model_dump(mode="json") == SCENARIO
    assert tuple(measured.variant_names) == LADDER


def test_what_is_said_of_the_scenario_is_read() -> None:
    assert declaration_of(guide_record()).latency.database_rtt_ms == 20


@pytest.mark.parametrize("part", ["corpus", "host", "server"])
def test_it_says_where_and_of_what_under_the_names_of_a_real_one(real: RunRecord, part: str) -> None:
    written, measured = (_part(record, part) for record in (guide_record(), real))
    assert written.keys() == measured.keys()


def test_each_sample_is_of_a_phase_of_its_round() -> None:
    for variant in guide_record().variants:
        phases = {(phase.round, phase.name): phase for phase in variant.phases}
        assert list(phases) == [(1, "bootstrap"), (1, "mix")]
        for each in variant.samples:
            phase = phases[each.round, each.phase]
            assert phase.started_s <= each.started_s < each.ended_s <= phase.ended_s


def _part(record: RunRecord, part: str) -> Mapping[str, object]:
    found: Mapping[str, object] = record.corpus if part == "corpus" else getattr(record.environment, part)
    return found
