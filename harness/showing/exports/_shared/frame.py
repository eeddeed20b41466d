"""A run's requests as one table: a row per request, in the order of the variants and their rounds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.record import RunRecord
from harness.samples import SAMPLES, Sample

if TYPE_CHECKING:
    import pandas as pd


def requests_frame(record: RunRecord) -> "pd.DataFrame":
    """Columns are those of `Sample`, times in seconds, with the run, the variant and the three clocks' differences.

    What a request waited for stands in columns of its own, `elapsed_s.<part>`.
    """
    import pandas as pd  # noqa: PLC0415 -- it takes long to import, and only an export needs it.

    rows = [_row(record.run_id, variant.name, sample) for variant in record.variants for sample in variant.samples]
    return pd.DataFrame(rows)


def _row(run_id: str, variant: str, sample: Sample) -> Mapping[str, object]:
    row = SAMPLES.dump_python(sample, exclude={"elapsed_s", "calls"})
    parts = {f"elapsed_s.{name}": elapsed_s for name, elapsed_s in sorted((sample.elapsed_s or {}).items())}
    return {
        "run_id": run_id,
        "variant": variant,
        **row,
        "service_time_s": sample.service_time_s,
        "response_time_s": sample.response_time_s,
        "lateness_s": sample.lateness_s,
        **parts,
    }
