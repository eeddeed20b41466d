"""Says what one run leaves in the history: a line of JSON with ordered keys, so that branches merge."""

import hashlib
import json
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from harness.commands._shared.searches import refuse_search
from harness.errors import HarnessError, UsageError
from harness.judging.analysis.quantiles import quantile
from harness.judging.declaration import declaration_of
from harness.judging.likeness import circumstances
from harness.judging.verdict import judge
from harness.judging.waivers import Waiver, of_budgets
from harness.mistakes import first_mistake
from harness.record import Frozen, RunRecord
from harness.samples import Sample

COUNTERS: Final = ("statements", "round_trips", "rows")
"""Fields of a sample. Their median and maximum over the answered requests do not depend on the machine."""


class HistoryEntry(Frozen):
    """One run."""

    schema_version: Literal[1] = 1
    """The version of this format."""
    run_id: str
    """The name of the run."""
    started_at: datetime
    """When it began."""
    revision: str | None
    """The git revision of what was measured; None outside of a checkout."""
    scenario: str
    """The name of its scenario."""
    outcome: str
    """Its verdict."""
    circumstances: str
    """A digest that is equal for runs which are alike."""
    place: str
    """The circumstances as a person reads them."""
    metrics: dict[str, dict[str, dict[str, float]]]
    """Figures by variant, operation and name; those that end in `_s` are seconds, the others counts."""


def entry_of(record: RunRecord, revision: str | None, waivers: Sequence[Waiver] = ()) -> HistoryEntry:
    """Raises `UsageError` for a run that cannot be judged: half a run would look like a change."""
    refuse_search(record, "has no place in a history")
    verdict = judge(record, waivers=of_budgets(waivers, declaration_of(record).name))
    if verdict.against_timings:
        raise UsageError(f"{record.run_id} has no place in a history. {verdict.sentence}")
    return HistoryEntry(
        run_id=record.run_id,
        started_at=record.started_at,
        revision=revision,
        scenario=declaration_of(record).name,
        outcome=verdict.outcome.value,
        circumstances=_digest(circumstances(record)),
        place=_place(record),
        metrics={variant.name: dict(_operations(variant.samples)) for variant in record.variants},
    )


def append(path: Path, entry: HistoryEntry) -> None:
    """Adds one line, whole or not at all, also beside others who append. Raises `HarnessError`."""
    line = json.dumps(entry.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # Whoever edited the file may have left its last line open.
            written = os.write(descriptor, f"{_line_end(descriptor)}{line}".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HarnessError(
            f"{path} could not be written ({error.strerror}). Correct the path or free some space."
        ) from None
    if written < len(line.encode()):
        raise HarnessError(
            f"{path}: the disk is full, and the last line is broken. Free some space and remove that line."
        )


def read(path: Path) -> tuple[HistoryEntry, ...]:
    """The runs in the order of their start, each once. Raises `UsageError` that names the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable as a history: {error}. `harness history add` begins one.") from None
    entries = [_entry(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return tuple({entry.run_id: entry for entry in sorted(entries, key=lambda entry: entry.started_at)}.values())


def _entry(path: Path, number: int, line: str) -> HistoryEntry:
    try:
        return HistoryEntry.model_validate_json(line)
    except ValidationError as error:
        raise UsageError(
            f"{path}:{number}: not a run of a history ({first_mistake(error)}). "
            "Remove or correct this line; a merge may have left its marks, or a newer harness wrote it."
        ) from None


def _line_end(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""


def _digest(value: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _place(record: RunRecord) -> str:
    host, server = record.environment.host, record.environment.server
    known = (host.get("cpu"), f"{host.get('cpus', '?')} CPUs", f"PostgreSQL {server.get('postgres_version', '?')}")
    return ", ".join(part for part in known if part)


def _operations(samples: Sequence[Sample]) -> Iterable[tuple[str, dict[str, float]]]:
    """By name; where an operation had both, known texts once more apart, named as a budget names them."""
    for operation in dict.fromkeys(sample.operation for sample in samples):
        selected = [sample for sample in samples if sample.operation == operation]
        yield operation, _metrics(selected)
        if {sample.first_time_text for sample in selected} >= {True, False}:
            yield f"{operation}{{text=known}}", _metrics([each for each in selected if each.first_time_text is False])


def _metrics(samples: Sequence[Sample]) -> dict[str, float]:
    """As the reports show them; a quantile that falls among failed requests is left out, and `errors` says why."""
    answered = [sample for sample in samples if sample.error is None]
    ordered = sorted(sample.latency_s if sample.error is None else math.inf for sample in samples)
    times = {"p50_s": quantile(ordered, 0.5), "p95_s": quantile(ordered, 0.95)}
    counts: dict[str, float] = {"requests": len(samples), "errors": len(samples) - len(answered)}
    if answered:
        times["mean_s"] = statistics.fmean(sample.latency_s for sample in answered)
    for name in COUNTERS:
        known = [number for sample in answered if (number := getattr(sample, name)) is not None]
        if known:
            counts |= {name: statistics.median(known), f"{name}_max": max(known)}
    return counts | {name: float(f"{value:.6g}") for name, value in times.items() if math.isfinite(value)}
