"""The seam between a judged run, a comparison or a search, and what people or programs read about it."""

from collections.abc import Sequence
from typing import Protocol

from harness.judging.comparison import Comparison
from harness.record import RunRecord
from harness.showing.report import CapacityReport, Report


class Renderer(Protocol):
    """A format. Texts of the record are hostile until escaped: they may come from anyone's corpus or server."""

    @property
    def suffix(self) -> str:
        """Says how a file of this format ends, with the dot."""
        ...

    def render(self, report: Report) -> str:
        """The whole report. Pure but for the terminal's width and colours; never fails for a record that is valid."""
        ...

    def render_comparison(self, comparison: Comparison, records: Sequence[RunRecord], /) -> str:
        """The same of a comparison, of one run or of two."""
        ...

    def render_capacity(self, report: CapacityReport, /) -> str:
        """The same of a search for a capacity."""
        ...
