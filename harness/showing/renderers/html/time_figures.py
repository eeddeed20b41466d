"""Figures over the time of a pass: how long requests took, and what the cache, the pool and the queue did meanwhile."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.judging.columns import Columns
from harness.quantities import count, duration
from harness.record import RunRecord, VariantRecord
from harness.samples import Sample
from harness.showing.renderers.html.charts import FIRST, TAIL, TYPICAL, ChartSeries, Timeframe, series_chart
from harness.showing.renderers.html.inline_svg import Figure, safe
from harness.showing.renderers.html.panels import Layer, Panel, panels_chart
from harness.showing.summary import Summary
from harness.showing.tables import printable
from harness.showing.waterfall import COALESCED, POOL

POINTS_MAX: Final = 600
LEVELS_MAX: Final = 300
SLICES: Final = 48
SOURCES: Final = {"cache": TAIL, "coalesced": TYPICAL, "provider": FIRST}
"""Who answers when a text is to be embedded, in the order of the areas, with their colours."""


def series_figures(record: RunRecord, summary: Summary) -> Iterable[Figure]:
    """The candidate's first round, one per operation, known and first-time texts apart."""
    for candidate in record.variants:
        if candidate.name == summary.declaration.candidate:
            measured = _first_round(candidate).by_operation
            for number, operation in enumerate(summary.operation_names):
                requests = measured.get(operation)
                if requests is not None and len(requests.answered):
                    yield series_figure(f"series{number}", candidate, requests)


def _first_round(variant: VariantRecord) -> Columns:
    rounds = Columns.of(variant.samples).by_round
    return rounds[min(rounds)] if rounds else Columns.of(())


def series_figure(key: str, variant: VariantRecord, requests: Columns) -> Figure:
    """Of one operation; at least one of the requests was answered."""
    time, answered, failed = timeframe(variant, requests), requests.answered, requests.where(requests.failed)
    is_new = answered.mask(lambda traits: traits.first_time_text is True)
    series = ChartSeries(
        time,
        points=[
            (colour, _thinned(_latency_over_time(answered.where(mask))))
            for colour, mask in ((TYPICAL, ~is_new), (FIRST, is_new))
            if mask.any()
        ],
        errors_s=[at_s for at_s, _ in _thinned(_latency_over_time(failed))],
    )
    operation, slowest = printable(requests[0].operation), answered[int(np.argmax(answered.latency_s))]
    description = (
        f"{operation} with {printable(variant.name)}: latency of {count(len(answered))} requests over "
        f"{time.end_s - time.start_s:.1f} seconds. The slowest started {slowest.started_s:.1f} seconds after "
        f"the start of the pass. {count(len(failed))} failed."
    )
    return Figure(key, operation, safe(series_chart(series, key, description)))


def timeframe(variant: VariantRecord, requests: Columns) -> Timeframe:
    """Of the round that the requests are of."""
    round_number = requests[0].round
    phases = [each for each in variant.phases if each.round == round_number]
    return Timeframe(
        start_s=float(requests.intended_s.min()),
        end_s=float(requests.ended_s.max()),
        boundaries_s=[each.started_s for each in phases]
        + [each.started_s + stage.start_s for each in phases for stage in each.stages],
        disruptions_s=[
            (each.started_s, each.ended_s)
            for each in variant.disruptions
            if each.round == round_number and each.started_s is not None and each.ended_s is not None
        ],
    )


def _thinned(points: ArrayLike, most: int = POINTS_MAX) -> Sequence[tuple[float, float]]:
    """Of very many the highest of each slice, so that no spike is left out."""
    pairs = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    size = max(-(-len(pairs) // most), 1)
    highest = [start + int(np.argmax(pairs[start : start + size, 1])) for start in range(0, len(pairs), size)]
    return [(at_s, value) for at_s, value in pairs[highest].tolist()]


def _latency_over_time(requests: Columns) -> NDArray[np.float64]:
    return np.column_stack([requests.started_s, requests.latency_s])


def system_figures(record: RunRecord, summary: Summary) -> Iterable[Figure]:
    """The first round of the baseline and of the candidate."""
    pair = [each for each in record.variants if each.name in summary.declaration.pair and each.samples]
    for number, variant in enumerate(pair):
        requests = _first_round(variant)
        time = timeframe(variant, requests)
        panels = [panel for panel in _panels(variant, requests, time) if panel]
        if panels:
            name, key = printable(variant.name), f"system{number}"
            description = f"{name}, over {time.end_s - time.start_s:.1f} seconds. " + " ".join(
                f"{panel.title}: {panel.figures}." for panel in panels
            )
            yield Figure(key, name, safe(panels_chart(panels, time, key, description)))


def _panels(variant: VariantRecord, requests: Columns, time: Timeframe) -> Iterable[Panel | None]:
    yield _sources_panel(requests, time)
    yield _pool_panel(requests)
    yield _levels_panel(variant, requests[0].round, "connections in use", "pool_in_use")
    yield _levels_panel(variant, requests[0].round, "background queue", "background_queued")


def _sources_panel(requests: Columns, time: Timeframe) -> Panel | None:
    embedded = requests.select(lambda traits: traits.embedding is not None)
    answered = [(each.started_s, _source(each)) for each in embedded]
    if not answered:
        return None
    width_s = max(time.end_s - time.start_s, 0.001) / SLICES
    edges_s = [time.start_s + number * width_s for number in range(SLICES + 1)]
    counted = Counter((bisect_right(edges_s, at_s, hi=SLICES) - 1, source) for at_s, source in answered)
    totals = Counter(source for _, source in answered)
    layers = [
        Layer(colour, "area", edges_s, [counted[number, source] / width_s for number in range(SLICES)])
        for source, colour in SOURCES.items()
    ]
    figures = ", ".join(f"{count(totals[source])} {source}" for source in SOURCES)
    return Panel("embeddings a second", figures, layers)


def _source(sample: Sample) -> str:
    if sample.embedding == "cache":
        return "cache"
    return "coalesced" if (sample.elapsed_s or {}).get(COALESCED) else "provider"


def _pool_panel(requests: Columns) -> Panel | None:
    broken_down = ((each.started_s, each.elapsed_s) for each in requests.broken_down)
    waits = sorted((at_s, elapsed_s[POOL]) for at_s, elapsed_s in broken_down if elapsed_s and POOL in elapsed_s)
    if not waits:
        return None
    at_s, waits_s = zip(*_thinned(waits), strict=True)
    figures = f"at most {duration(max(waits_s))}"
    return Panel("wait for a connection", figures, [Layer(TYPICAL, "dots", at_s, waits_s)], is_time=True)


def _levels_panel(variant: VariantRecord, round_number: int, title: str, name: str) -> Panel | None:
    phases = [each.levels for each in variant.phases if each.round == round_number and each.levels]
    readings = [reading for each in phases for reading in zip(each.at_s, each.values.get(name, ()), strict=False)]
    if not readings:
        return None
    figures = f"at most {count(max(value for _, value in readings))}"
    at_s, values = zip(*_thinned(readings, LEVELS_MAX), strict=True)
    return Panel(title, figures, [Layer(TYPICAL, "steps", at_s, values)])
