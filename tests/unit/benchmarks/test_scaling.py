"""The calculation of docs/scaling.md: the page shows what it prints, and its sums are right where they can be seen."""

from pathlib import Path

from benchmarks.scaling import Inputs, Need, lines

PAGE = Path(__file__).parents[3] / "docs/scaling.md"


def test_the_page_shows_what_the_calculation_prints() -> None:
    assert "\n".join(lines()) in PAGE.read_text(encoding="utf-8")


def test_what_binds_first_decides_how_many_primaries_there_are() -> None:
    by_memory = Need(1_000_000, Inputs(graph_bytes=2**30, memory_gib=2_000))
    assert by_memory.primaries == 1_000
    by_writes = Need(86_400_000, Inputs(record_cpu_ms=9, fold_cpu_ms=1, cores=10, busy_max=0.5, graph_bytes=1))
    assert by_writes.queries_per_s == 4_000
    assert by_writes.writing_cores == 40
    assert by_writes.primaries == 8


def test_standbys_take_the_searches_that_a_primary_has_no_processor_left_for() -> None:
    inputs = Inputs(search_cpu_ms=5, record_cpu_ms=1, fold_cpu_ms=0, cores=10, busy_max=1, graph_bytes=1)
    assert Need(86_400_0, inputs).standbys == 0
    need = Need(86_400_000 // 2, inputs)
    assert (need.writing_cores, need.searching_cores, need.primaries, need.standbys) == (2, 10, 1, 1)
