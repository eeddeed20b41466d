"""What asking and what answering cost, apart."""

from typing import Any

from harness.quantities import ABSENT
from harness.record import PhaseRecord
from harness.showing.processor_times import processor_times_table
from tests.records import record, variant


def phase(round_number: int, **counters: float) -> PhaseRecord:
    values: dict[str, Any] = {"workload": "query", "arrival": "closed_loop", "loop": "closed", "started_s": 0.0}
    return PhaseRecord(
        name="mix", round=round_number, started=100, ended_s=1.0, counters={**counters, "host_cpu_s": 1.0}, **values
    )


def rows(*phases: PhaseRecord, in_process: bool = False) -> list[list[str]]:
    table = processor_times_table(record(variant("batched", phases=phases, in_process=in_process)))
    return [[cell.text for cell in row] for row in table.rows] if table else []


def test_it_is_told_per_request_of_all_rounds() -> None:
    first = phase(1, client_cpu_s=0.1, service_cpu_s=0.2, server_cpu_s=0.05)
    second = phase(2, client_cpu_s=0.3, service_cpu_s=0.4, server_cpu_s=0.05)
    assert rows(first, second) == [["batched", "mix", "200", "2.00 ms", "3.00 ms", "500 µs"]]


def test_what_a_round_does_not_tell_is_not_told() -> None:
    assert rows(phase(1, client_cpu_s=0.1), phase(2, client_cpu_s=0.1, service_cpu_s=0.4)) == [
        ["batched", "mix", "200", "1.00 ms", ABSENT, ABSENT]
    ]


def test_a_target_in_the_generator_s_process_cannot_be_told_from_it() -> None:
    assert rows(phase(1, client_cpu_s=0.1, server_cpu_s=0.1), in_process=True) == []
