"""Figures over the time of a pass: how long requests took, and what the cache, the pool and the queue did meanwhile."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final

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
            measured = _first_round(candidate)
            for number, operation in enumerate(summary.operation_names):
                samples = [each for each in measured if each.operation == operation]
                if any(each.error is None for each in samples):
                    yield series_figure(f"series{number}", candidate, samples)


def _first_round(variant: VariantRecord) -> Sequence[Sample]:
    first = min((each.round for each in variant.samples), default=0)
    return [each for each in variant.samples if each.round == first]


def series_figure(key: str, variant: VariantRecord, samples: Sequence[Sample]) -> Figure:
    """Of one operation; at least one of the samples was answered."""
    time, answered = timeframe(variant, samples), [each for each in samples if each.error is None]
    series = ChartSeries(
        time,
        points=[
            (colour, _thinned(points))
            for colour, texts in ((TYPICAL, (False, None)), (FIRST, (True,)))
            if (points := [(each.started_s, each.latency_s) for each in answered if each.first_time_text in texts])
        ],
        errors_s=[each.started_s for each in samples if each.error is not None],
    )
    operation, slowest = printable(samples[0].operation), max(answered, key=lambda each: each.latency_s)
    description = (
        f"{operation} with {printable(variant.name)}: latency of {count(len(answered))} requests over "
        f"{time.end_s - time.start_s:.1f} seconds. The slowest started {slowest.started_s:.1f} seconds after "
        f"the start of the pass. {count(len(series.errors_s))} failed."
    )
    return Figure(key, operation, safe(series_chart(series, key, description)))


def timeframe(variant: VariantRecord, samples: Sequence[Sample]) -> Timeframe:
    """Of the round that the samples are of."""
    round_number = samples[0].round
    phases = [each for each in variant.phases if each.round == round_number]
    return Timeframe(
        start_s=min(each.intended_s for each in samples),
        end_s=max(each.ended_s for each in samples),
        boundaries_s=[each.started_s for each in phases]
        + [each.started_s + stage.start_s for each in phases for stage in each.stages],
        disruptions_s=[
            (each.started_s, each.ended_s)
            for each in variant.disruptions
            if each.round == round_number and each.started_s is not None and each.ended_s is not None
        ],
    )


def _thinned(points: Sequence[tuple[float, float]], most: int = POINTS_MAX) -> Sequence[tuple[float, float]]:
    """Of very many the highest of each slice, so that no spike is left out."""
    size = -(-len(points) // most)
    return [max(points[start : start + size], key=itemgetter(1)) for start in range(0, len(points), size)]


def system_figures(record: RunRecord, summary: Summary) -> Iterable[Figure]:
    """The first round of the baseline and of the candidate."""
    pair = [each for each in record.variants if each.name in summary.declaration.pair and each.samples]
    for number, variant in enumerate(pair):
        samples = _first_round(variant)
        time = timeframe(variant, samples)
        panels = [panel for panel in _panels(variant, samples, time) if panel]
        if panels:
            name, key = printable(variant.name), f"system{number}"
            description = f"{name}, over {time.end_s - time.start_s:.1f} seconds. " + " ".join(
                f"{panel.title}: {panel.figures}." for panel in panels
            )
            yield Figure(key, name, safe(panels_chart(panels, time, key, description)))


def _panels(variant: VariantRecord, samples: Sequence[Sample], time: Timeframe) -> Iterable[Panel | None]:
    yield _sources_panel(samples, time)
    yield _pool_panel(samples)
    yield _levels_panel(variant, samples[0].round, "connections in use", "pool_in_use")
    yield _levels_panel(variant, samples[0].round, "background queue", "background_queued")


def _sources_panel(samples: Sequence[Sample], time: Timeframe) -> Panel | None:
    answered = [(each.started_s, _source(each)) for each in samples if each.embedding is not None]
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


def _pool_panel(samples: Sequence[Sample]) -> Panel | None:
    waits = [(each.started_s, each.elapsed_s[POOL]) for each in samples if each.elapsed_s and POOL in each.elapsed_s]
    if not waits:
        return None
    at_s, waits_s = zip(*_thinned(sorted(waits)), strict=True)
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
