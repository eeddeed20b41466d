"""A run that did not come to its end has measured some of its variants and phases, and not the others.

One that a budget ended did what it was told, and that budget's FAIL stands whatever the rest would have been.
"""

from collections.abc import Iterator

from harness.record import RunRecord


class PartialRun:
    of_timings_only = False
    meaning = "The run broke off, or no request was measured."

    def objections(self, record: RunRecord) -> Iterator[str]:
        if record.state == "partial" and record.aborted_by is None:
            yield f"the run is partial: {(record.interruption or 'it ended without saying why').removesuffix('.')}"
        if not any(len(variant.samples) for variant in record.variants):
            profiled = f": it was only profiled, which `harness diff {record.run_id}` shows" if record.profiles else ""
            yield f"no request was measured{profiled}"
