"""A run's requests as one table: a row per request, in the order of the variants and their rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.judging.columns import Columns
from harness.record import RunRecord
from harness.samples import Sample, Traits

if TYPE_CHECKING:
    import pandas as pd


def requests_frame(record: RunRecord) -> "pd.DataFrame":
    """Columns are those of `Sample`, times in seconds, with the run, the variant and the three clocks' differences.

    What a request waited for stands in columns of its own, `elapsed_s.<part>`.
    """
    import pandas as pd  # noqa: PLC0415 -- it takes long to import, and only an export needs it.

    measured = {each.name: requests for each in record.variants if len(requests := Columns.of(each.samples))}
    if not measured:
        return pd.DataFrame()
    several = list(measured.values())
    columns: Mapping[str, Any] = {**_traits(several), **_times(several)}
    said = {each.name: columns[each.name] for each in fields(Sample) if each.name in columns}
    differences = {name: columns[name] for name in ("service_time_s", "response_time_s", "lateness_s")}
    sizes = [len(each) for each in several]
    named = {"run_id": record.run_id, "variant": np.repeat(np.array(list(measured), dtype=object), sizes)}
    return pd.DataFrame({**named, **said, **differences, **_parts(several)})


def _traits(several: Sequence[Columns]) -> dict[str, "pd.Series[Any]"]:
    """What requests have in common is written once and taken as often as it is needed."""
    import pandas as pd  # noqa: PLC0415 -- likewise.

    before = np.cumsum([0, *(len(each.traits) for each in several)])
    places = np.concatenate([each.trait + first for each, first in zip(several, before, strict=False)])
    different = [traits._asdict() for each in several for traits in each.traits]
    known = pd.DataFrame(different, columns=list(Traits._fields))
    return {name: known[name].take(places).reset_index(drop=True) for name in Traits._fields}


def _times(several: Sequence[Columns]) -> Mapping[str, Any]:
    times = {
        name: np.concatenate([getattr(each, name) for each in several])
        for name in ("intended_s", "started_s", "ended_s", "service_time_s", "lateness_s", "server_s")
    }
    response_time_s = times["ended_s"] - times["intended_s"]
    server_s = None if np.isnan(times["server_s"]).all() else times["server_s"]
    return times | {"response_time_s": response_time_s, "server_s": server_s}


def _parts(several: Sequence[Columns]) -> Mapping[str, NDArray[np.float64]]:
    """Not a number where a request waited for nothing of that name."""
    found: dict[str, NDArray[np.float64]] = {}
    first, size = 0, sum(map(len, several))
    for requests in several:
        for number, elapsed_s in requests.parts:
            for name, seconds in sorted(elapsed_s.items()):
                if name not in found:
                    found[name] = np.full(size, np.nan)
                found[name][first + number] = seconds
        first += len(requests)
    return {f"elapsed_s.{name}": seconds for name, seconds in found.items()}
