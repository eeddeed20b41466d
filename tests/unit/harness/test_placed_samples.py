"""Samples of workers whose clocks ran ahead are read where they were, and their latencies as they were measured."""

from pathlib import Path

import pytest

from harness import journal
from harness.record import WorkerRecord
from tests.records import phase, sample


def test_a_drift_of_200_millionths_is_taken_from_where_samples_are_and_not_from_what_they_took(tmp_path: Path) -> None:
    fast = WorkerRecord(
        worker=1, host="fast", started=3, received=3, started_s=0.0, ended_s=100.0, ahead_s=(0.01, 0.03)
    )
    steady = phase("steady", workers=(WorkerRecord(worker=0, host="ours", started=1, received=1, started_s=0.0,
                                                   ended_s=100.0), fast))  # fmt: skip
    with journal.open_journal(tmp_path / "run") as entries:
        entries.write(
            "run",
            {
                "schema_version": 1,
                "run_id": "run",
                "started_at": "2026-01-01T12:00:00+00:00",
                "command": [],
                "scenario": {},
                "corpus": {},
            },
        )
        entries.write("variant", {"name": "null", "description": "", "schema_version": 0})
        entries.sample("null", sample(started_s=50.0, phase="steady", worker=0))
        for started_s in (0.0, 50.0, 100.0):
            entries.sample("null", sample(started_s=started_s, service_time_s=0.25, phase="steady", worker=1))
        entries.sample("null", sample(started_s=50.0, phase="another", worker=1))
        entries.phase("null", steady)
    (read,) = journal.read(tmp_path / "run" / journal.FILE_NAME).variants
    assert [each.intended_s for each in read.samples] == pytest.approx([50.0, -0.01, 49.98, 99.97, 50.0])
    assert [each.started_s for each in read.samples] == pytest.approx([50.0, -0.01, 49.98, 99.97, 50.0])
    assert [each.service_time_s for each in read.samples if each.worker == 1][:3] == pytest.approx([0.25] * 3)
