"""A run that did not come to its end has measured some of its variants and phases, and not the others."""

from collections.abc import Iterator

from harness.record import RunRecord


class PartialRun:
    meaning = "The run broke off, or no request was measured."

    def objections(self, record: RunRecord) -> Iterator[str]:
        if record.state == "partial":
            yield f"the run is partial: {record.interruption or 'it ended without saying why'}"
        if not any(variant.samples for variant in record.variants):
            yield "no request was measured"
