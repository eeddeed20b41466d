"""`harness history add`, `show` and `plot`."""

from collections.abc import Iterable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Final

import click

from harness import runs
from harness.commands._shared import waiver_files
from harness.commands.history.entries import HistoryEntry, append, entry_of, read
from harness.commands.history.trends import ChangePoint, Series, alike, series_of
from harness.errors import UsageError
from harness.measuring.revisions import checked_out
from harness.quantities import count, duration, number_of, share
from harness.showing.renderers.terminal import TerminalRenderer
from harness.showing.tables import Cell, Column, Table, number_columns, printable, text_columns

FORMS: Final = ("svg", "png")
ALWAYS_SHOWN: Final = frozenset({"p95_s", "statements"})

SPARKS: Final = "▁▂▃▄▅▆▇█"
SPARKS_MAX: Final = 16
"""Of the newest runs, so that a row fits a terminal."""


def add(*, name: str, revision: str | None, path: Path, output: Path, waivers_file: Path | None) -> None:
    record = runs.load_record(runs.find(name, output))
    measured = record.checkout.revision if record.checkout else checked_out()
    entry = entry_of(record, revision or measured, waiver_files.for_record(record, waivers_file))
    if path.exists() and entry.run_id in {known.run_id for known in read(path)}:
        click.echo(f"{entry.run_id} is in {path} already.")
        return
    append(path, entry)
    click.echo(f"Added {entry.run_id} to {path}.")


def show_history(*, selection: str | None, everything: bool, path: Path) -> None:
    for group in chosen_groups(path, everything=everything):
        every = selected(group, selection) if selection else of_interest(group)
        click.echo(TerminalRenderer().render_tables([trends_table(group, every)]), nl=False)


def plot_(*, selection: str | None, path: Path, place: Path, form: str) -> None:
    from harness.commands.history.plots import plot  # noqa: PLC0415 -- matplotlib takes long to import.

    every = [selected(group, selection or "*") for group in chosen_groups(path, everything=False)]
    ending = place.suffix.removeprefix(".").lower()
    is_file = ending in FORMS and not place.is_dir()
    if is_file:
        refuse_several([series.operation for group in every for series in group], place)
    try:
        (place.parent if is_file else place).mkdir(parents=True, exist_ok=True)
        for group in every:
            for written in plot(group, place, ending if is_file else form):
                click.echo(f"Wrote {written}.")
    except OSError as error:
        raise UsageError(f"--to {place}: cannot be written ({error.strerror}). Name another place.") from None


def refuse_several(operations: Sequence[str], file: Path) -> None:
    """Raises `UsageError` where one file would have to hold the figures of several operations."""
    names = list(dict.fromkeys(operations))
    if len(names) > 1:
        raise UsageError(
            f"--to {file} is one file, and there is a figure for each of {', '.join(names)}. Name a directory, or "
            f"select one: '*.{names[0]}.*'."
        )


def chosen_groups(path: Path, *, everything: bool) -> Sequence[tuple[HistoryEntry, ...]]:
    """Of each scenario the runs that are like its newest; with `everything` all of them, in groups that are alike."""
    groups = alike(read(path))
    if not groups:
        raise UsageError(f"{path} is empty. `harness history add` adds a run.")
    return groups if everything else list({group[-1].scenario: group for group in groups}.values())


def selected(group: Sequence[HistoryEntry], selection: str) -> Sequence[Series]:
    found = series_of(group, selection)
    if not found:
        names = ", ".join(series.name for series in series_of(group)[:3])
        raise UsageError(f"No metric of {group[-1].scenario} fits {selection!r}. There are {names} and more.")
    return found


def of_interest(group: Sequence[HistoryEntry]) -> Sequence[Series]:
    """Says what is always shown, and what has changed; how many requests there were follows from their times."""
    others = (series for series in series_of(group) if series.metric != "requests")
    return [series for series in others if series.metric in ALWAYS_SHOWN or series.change_points()]


def trends_table(group: Sequence[HistoryEntry], every: Iterable[Series]) -> Table:
    newest = group[-1]
    columns = (
        *text_columns("Variant", "Operation", "Metric"),
        *number_columns("Oldest", "Newest", "Trend"),
        Column("Changes"),
    )
    title = f"{newest.scenario}: {number_of(len(group), 'run')} from {group[0].started_at:%Y-%m-%d} on, {newest.place}"
    return Table(printable(title), columns, tuple(_row(series) for series in every))


def _row(series: Series) -> tuple[Cell, ...]:
    changes = series.change_points()
    return (
        Cell(printable(series.variant)),
        Cell(printable(series.operation)),
        Cell(printable(series.metric.removesuffix("_s"))),
        Cell(_written(series, series.values[0])),
        Cell(_written(series, series.values[-1])),
        Cell(sparks(series.values)),
        Cell(", ".join(_change(series, change) for change in changes), "doubt" if changes else "plain"),
    )


def _written(series: Series, value: float) -> str:
    return duration(value) if series.is_time else count(value)


def _change(series: Series, change: ChangePoint) -> str:
    """`2026-02-01 3f2a1b9c: 12.0 ms to 15.1 ms (+25.8%)`."""
    entry = series.entries[change.index]
    place = " ".join(part for part in (f"{entry.started_at.astimezone(UTC):%Y-%m-%d}", entry.revision) if part)
    ratio = "" if change.ratio is None else f" ({'+' if change.ratio > 0 else ''}{share(change.ratio)})"
    return printable(f"{place}: {_written(series, change.before)} to {_written(series, change.after)}{ratio}")


def sparks(values: Sequence[float]) -> str:
    """One block per run, from the lowest to the highest of them."""
    newest = values[-SPARKS_MAX:]
    low, span = min(newest), max(newest) - min(newest)
    return "".join(SPARKS[round((value - low) / span * (len(SPARKS) - 1)) if span else 0] for value in newest)
