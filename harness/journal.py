"""An append-only record of a run as it happens: one JSON object a line, whole lines only.

A run that is killed leaves a journal from which `read` makes a record, marked as partial.
"""

import errno
import json
import os
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from operator import or_
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, UsageError
from harness.record import DisruptionRecord, PhaseRecord, RunRecord, Sample, VariantRecord

FILE_NAME: Final = "journal.jsonl"


class Journal:
    """Writes to one file. Raises `HarnessError` when the disk takes no more; what was written stays whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        self._length = os.fstat(self._descriptor).st_size

    def write(self, kind: str, entry: Mapping[str, Any]) -> None:
        line = json.dumps({"kind": kind, **entry}, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise self._full(error.strerror) from error
        if written < len(line):
            os.truncate(self._descriptor, self._length)
            raise self._full(os.strerror(errno.ENOSPC))
        self._length += written

    def _full(self, reason: str | None) -> HarnessError:
        return HarnessError(
            f"{self.path} could not be written ({reason}). What was measured until now is in it: "
            f"free some space, then see it with `harness report {self.path.parent}`."
        )

    def sample(self, variant: str, sample: Sample) -> None:
        self.write("sample", {"variant": variant, **sample.model_dump(exclude_defaults=True)})

    def phase(self, variant: str, phase: PhaseRecord) -> None:
        self.write("phase", {"variant": variant, **phase.model_dump(exclude_defaults=True)})

    def disruption(self, variant: str, disruption: DisruptionRecord) -> None:
        self.write("disruption", {"variant": variant, **disruption.model_dump(exclude_defaults=True)})

    def close(self) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)


@contextmanager
def open_journal(directory: Path) -> Generator[Journal]:
    """A new journal in a run's directory, which is made. Raises `UsageError`."""
    try:
        directory.mkdir(parents=True, exist_ok=False)
        journal = Journal(directory / FILE_NAME)
    except OSError as error:
        raise UsageError(
            f"{directory} cannot hold a run ({error.strerror}). Name another place with --output."
        ) from error
    try:
        yield journal
    finally:
        journal.close()


def read(path: Path) -> RunRecord:
    """The record of a journal, partial where its end is missing. Raises `UsageError` that names the line."""
    told = _Told()
    for entry in _entries(path):
        kind = entry.pop("kind")
        if not told.take(kind, entry):
            raise UsageError(f"{path}: unknown entry {kind!r}; a newer version of the harness wrote it.")
    if "run_id" not in told.run:
        raise UsageError(f"{path} does not begin with a run: it is empty, or not a journal.")
    return told.record()


@dataclass(slots=True)
class _Pass:
    """One variant's pass in one round: the entry that began it, its samples and phases, and the entry that ended it."""

    variant: dict[str, Any]
    samples: list[Sample] = field(default_factory=list[Sample])
    phases: list[PhaseRecord] = field(default_factory=list[PhaseRecord])
    disruptions: list[DisruptionRecord] = field(default_factory=list[DisruptionRecord])
    end: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Told:
    """What the entries until now come to."""

    run: dict[str, Any] = field(default_factory=lambda: {"environment": {"host": {}, "software": {}, "server": {}}})
    passes: list[_Pass] = field(default_factory=list[_Pass])
    looks: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    elapsed_s: float = 0.0
    interruption: str | None = "the journal has no end: the run was killed, or is still going on"

    def take(self, kind: str, entry: dict[str, Any]) -> bool:
        """Whether the kind of entry is known."""
        match kind:
            case "run" | "environment":
                self.run |= entry
            case "variant":
                self.passes.append(_Pass(entry))
            case "sample":
                del entry["variant"]
                self.passes[-1].samples.append(Sample.model_validate(entry))
            case "phase":
                del entry["variant"]
                self.passes[-1].phases.append(PhaseRecord.model_validate(entry))
            case "disruption":
                del entry["variant"]
                self.passes[-1].disruptions.append(DisruptionRecord.model_validate(entry))
            case "variant_end":
                self.passes[-1].end = entry
            case "elapsed":
                self.elapsed_s = entry["elapsed_s"]
            case "look":
                self.looks.append(entry["samples"])
            case "end":
                self.elapsed_s, self.interruption = entry["elapsed_s"], entry["interruption"]
            case _:
                return False
        return True

    def record(self) -> RunRecord:
        passes: defaultdict[str, list[_Pass]] = defaultdict(list)
        for each in self.passes:
            passes[each.variant["name"]].append(each)
        return RunRecord(
            **self.run,
            elapsed_s=self.elapsed_s,
            state="partial" if self.interruption else "complete",
            interruption=self.interruption,
            looks=tuple(self.looks),
            variants=tuple(map(_variant, passes.values())),
        )


def _variant(passes: Sequence[_Pass]) -> VariantRecord:
    """One variant's passes in the order of their rounds."""
    ends = reduce(or_, (each.end for each in passes))
    return VariantRecord(
        **passes[0].variant | ends,
        samples=tuple(chain.from_iterable(each.samples for each in passes)),
        phases=tuple(chain.from_iterable(each.phases for each in passes)),
        disruptions=tuple(chain.from_iterable(each.disruptions for each in passes)),
    )


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines; a last one without its end was being written when the run was killed."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error
    for number, line in enumerate(lines[:-1], start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}, line {number}: not JSON ({error}).") from None
        if not isinstance(entry, dict) or "kind" not in entry:
            raise UsageError(f"{path}, line {number}: not an entry of a journal.")
        yield entry
