"""What each worker did, as a table."""

from typing import Any

from harness.quantities import ABSENT
from harness.record import WorkerRecord
from harness.showing.hosts_table import hosts_table
from tests.records import phase, record, sample, variant


def worker(number: int, host: str, **fields: Any) -> WorkerRecord:
    return WorkerRecord(worker=number, host=host, received=100, started_s=0.0, ended_s=10.0, **fields)


def test_each_worker_has_a_row_with_its_share_lateness_processor_and_clock() -> None:
    counters = {"timed_client_cpu_s": 2.5, "host_steal_s": 0.2, "host_cpu_s": 20.0}
    far = worker(1, "rack\u202e-7", started=300, counters=counters, clock_ahead_s=5.0, clock_error_s=0.0004)
    near = worker(0, "rack-1", started=100)
    late = sample(started_s=0.002, intended_s=0.0, phase="steady", worker=1, scheduled=True)
    found = hosts_table(record(variant(samples=[late], phases=[phase("steady", started=400, workers=(near, far))])))
    assert found is not None
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["batched", "steady", "rack-1", "1", "100", "25%", *[ABSENT] * 5],
        ["batched", "steady", "rack\ufffd-7", "2", "300", "75%", "2.00 ms", "25%", "1%", "5.00 s", "± 400 µs"],
    ]
    assert len(found.columns) == 11


def test_a_run_of_one_process_has_none() -> None:
    assert hosts_table(record(variant(samples=[sample()], phases=[phase()]))) is None
