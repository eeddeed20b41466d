"""Calculates what each size of a corpus needs, from figures that were measured at sizes that one machine can hold.

    python benchmarks/scaling.py

Nothing here measures. Each input says where it was measured, and docs/scaling.md shows the table as this prints it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
QUERIES_PER_MEMORY_AND_DAY: Final = 1.0
"""Assumed: as many queries a day as there are memories, and at the peak four times the mean."""

PEAK: Final = 4.0
SECONDS_PER_DAY: Final = 86_400
GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was measured, and two assumptions on the machines."""

    row_bytes: float = 8_888
    """Of a memory with all of its indexes, of a schema of 20,000: benchmarks/tenants.py."""
    graph_bytes: float = 2_048
    """Of the vector index alone, in which a search jumps about, so that it stays in memory: 770 halves and links."""
    search_cpu_ms: float = 6.2
    """Of a query but for its record, 1,500 memories: benchmarks/replicas.py."""
    record_cpu_ms: float = 3.0
    """Of all that a query leaves to the primary where a standby searches, 20 rows and a log: benchmarks/replicas.py."""
    fold_cpu_ms: float = 0.63
    """Of folding the log of a query into its 190 pairs: measured when the log was chosen, elapsed."""
    pair_bytes: float = 250
    """Of a row of the pairs with its two indexes: by its columns, not measured."""
    wal_bytes: float = 7_100
    """Of a query and its folding at 100,000: docs/frontier.md."""
    cores: int = 32
    """Of one server: assumed."""
    memory_gib: int = 256
    """Of one server: assumed; half of it holds the graph."""
    busy_max: float = 0.6
    """How busy a server may be for its latencies to hold: assumed."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one size of the corpus needs: servers to hold it, and to bear its writes and searches."""

    memories: int
    inputs: Inputs

    @property
    def disk_gib(self) -> float:
        return self.memories * self.inputs.row_bytes / GIB

    @property
    def graph_gib(self) -> float:
        return self.memories * self.inputs.graph_bytes / GIB

    @property
    def queries_per_s(self) -> float:
        return self.memories * QUERIES_PER_MEMORY_AND_DAY * PEAK / SECONDS_PER_DAY

    @property
    def writing_cores(self) -> float:
        return self.queries_per_s * (self.inputs.record_cpu_ms + self.inputs.fold_cpu_ms) / 1000

    @property
    def searching_cores(self) -> float:
        return self.queries_per_s * self.inputs.search_cpu_ms / 1000

    @property
    def wal_mb_per_s(self) -> float:
        return self.queries_per_s * self.inputs.wal_bytes / 1e6

    @property
    def primaries(self) -> int:
        """By what binds first: the processors that write, or the memory for the graph."""
        usable_cores = self.inputs.cores * self.inputs.busy_max
        return max(1, ceil(self.writing_cores / usable_cores), ceil(self.graph_gib / (self.inputs.memory_gib / 2)))

    @property
    def standbys(self) -> int:
        """For each primary, to take the searches that it has no processor left for."""
        usable_cores = self.inputs.cores * self.inputs.busy_max
        left = max(0.0, usable_cores - self.writing_cores / self.primaries)
        return ceil(max(0.0, self.searching_cores / self.primaries - left) / usable_cores)

    def __str__(self) -> str:
        return (
            f"| {self.memories:,} | {self.queries_per_s:,.2f} | {self.disk_gib:,.1f} | {self.graph_gib:,.1f} | "
            f"{self.writing_cores:,.2f} | {self.searching_cores:,.2f} | {self.wal_mb_per_s:,.2f} | "
            f"{self.primaries} + {self.primaries * self.standbys} |"
        )


HEADER: Final = (
    "| memories | queries a second at the peak | disk, GiB | graph, GiB | cores that write | cores that search | "
    "WAL, MB/s | primaries + standbys |"
)


def lines(inputs: Inputs | None = None) -> Iterator[str]:
    inputs = inputs or Inputs()
    yield HEADER
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for size in SIZES:
        yield str(Need(size, inputs))
    yield ""
    one = inputs.cores * inputs.busy_max * 1000
    writing = inputs.record_cpu_ms + inputs.fold_cpu_ms
    yield f"One primary of {inputs.cores} cores bears {one / writing:,.0f} queries a second by its writes alone,"
    yield f"and {one / (inputs.search_cpu_ms + writing):,.0f} where it searches too."
    yield f"A query makes 190 pairs at most: {190 * inputs.pair_bytes / 1000:.1f} kB where all of them are new."


if __name__ == "__main__":
    print("\n".join(lines()))
