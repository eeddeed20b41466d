"""The seam of what makes a run INVALID: faults of the measurement itself, whatever its latencies say."""

from collections.abc import Iterator
from typing import Protocol

from harness.record import RunRecord


class ValidityCheck(Protocol):
    """Looks for one kind of fault. An implementation is stateless and pure, and says nothing of what it cannot see."""

    @property
    def meaning(self) -> str:
        """One sentence for the manual: when the run is INVALID, by which figure."""
        ...

    @property
    def of_timings_only(self) -> bool:
        """Says whether what was counted, such as statements, is right all the same."""
        ...

    def objections(self, record: RunRecord) -> Iterator[str]:
        """Clauses without a full stop, each with what was seen, where, and what to do."""
        ...
