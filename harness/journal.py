"""An append-only record of a run as it happens: one JSON object a line, whole lines only.

A run that is killed leaves a journal from which `read` makes a record, marked as partial, and `resumable` says what a
run that goes on need not measure again. A process that writes to a journal holds a lock on it until it ends.
"""

import errno
import fcntl
import json
import os
import shlex
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, assert_never, cast

from pydantic import ValidationError
from pydantic_core import from_json

from harness.errors import HarnessError, UsageError
from harness.mistakes import first_mistake
from harness.record import (
    SCHEMA_VERSION,
    AskedRate,
    DisruptionRecord,
    PhaseRecord,
    ProfileRecord,
    Resumption,
    RunRecord,
    StatementProfile,
    VariantRecord,
    WorkerRecord,
)
from harness.samples import SAMPLES, Sample, SampleColumns

SAMPLE_LINE: Final = b'{"kind":"sample",'
"""How the line of a request begins, as it is written below."""

FILE_NAME: Final = "journal.jsonl"
LOG_FILE: Final = "log.txt"
"""Beside it: what libraries warned of, and the traceback of a failure that nobody foresaw."""

NEWER: Final = "A newer harness may have written it: use that, or make a new run."
NO_END: Final = "the journal has no end: the run was killed, or is still going on"


class Entries(ABC):
    """Where entries of a journal go."""

    @abstractmethod
    def write(self, kind: str, entry: Mapping[str, Any]) -> None: ...

    def sample(self, variant: str, sample: Sample) -> None:
        self.write("sample", {"variant": variant, **SAMPLES.dump_python(sample, exclude_defaults=True)})

    def phase(self, variant: str, phase: PhaseRecord) -> None:
        self.write("phase", {"variant": variant, **phase.model_dump(exclude_defaults=True)})

    def disruption(self, variant: str, disruption: DisruptionRecord) -> None:
        self.write("disruption", {"variant": variant, **disruption.model_dump(exclude_defaults=True)})

    def rate(self, asked: AskedRate) -> None:
        self.write("rate", asked.model_dump())


class Journal(Entries):
    """Writes to one file. Raises `HarnessError` when the disk takes no more; what was written stays whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        self.length = os.fstat(self._descriptor).st_size
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise UsageError(f"The run in {path.parent} is still going on: wait for its end, or end it.") from None

    def write(self, kind: str, entry: Mapping[str, Any]) -> None:
        text = json.dumps({"kind": kind, **entry}, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        # A path whose bytes are no UTF-8 has halves of characters in Python, and no file of JSON may hold them.
        line = text.encode(errors="replace") + b"\n"
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise self._full(error.strerror) from error
        if written < len(line):
            os.truncate(self._descriptor, self.length)
            raise self._full(os.strerror(errno.ENOSPC))
        self.length += written

    def _full(self, reason: str | None) -> HarnessError:
        return HarnessError(
            f"{self.path} could not be written ({reason}). What was measured until now is in it: "
            f"free some space, then see it with `harness report {shlex.quote(str(self.path.parent))}`."
        )

    def cut_torn_line(self) -> None:
        """Takes off a last line that was being written when the run was killed; `read` passes over it as well."""
        self.length = self.path.read_bytes().rfind(b"\n") + 1
        os.truncate(self._descriptor, self.length)

    def close(self) -> None:
        # What the disk does not take now, it does not take of the record either, which then says so.
        with suppress(OSError):
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


@contextmanager
def reopen_journal(directory: Path) -> Generator[Journal]:
    """The journal of a run that is to go on. Raises `UsageError` when it has none, or a process still writes to it."""
    path = directory / FILE_NAME
    if not path.is_file():
        raise UsageError(f"{directory} holds no journal, so the run cannot go on. Make a new one with `harness run`.")
    journal = Journal(path)
    try:
        journal.cut_torn_line()
        yield journal
    finally:
        journal.close()


@dataclass(frozen=True, slots=True)
class Resumable:
    """A run until now. `passes` are the variants and rounds that came to their end.

    `sampled_on_s` is the time spent on rounds beyond the planned ones.
    """

    record: RunRecord
    passes: frozenset[tuple[str, int]]
    sampled_on_s: float

    @property
    def last_round(self) -> int:
        return max((number for _, number in self.passes), default=0)


def read(path: Path) -> RunRecord:
    """The record of a journal, partial where its end is missing. Raises `UsageError` that names the line."""
    return _read(path)[1]


def state(path: Path) -> Literal["complete", "partial"]:
    """Says whether a run came to its end, and reads none of its requests for it. Raises `UsageError` as `read` does."""
    return _read(path, with_samples=False)[1].state


def resumable(path: Path) -> Resumable:
    """Says what a run that goes on need not measure again. Raises `UsageError` as `read` does."""
    replay, record = _read(path)
    passes = frozenset((each.variant["name"], each.round) for each in replay.ended)
    return Resumable(record, passes, replay.sampled_on_s)


def _read(path: Path, *, with_samples: bool = True) -> "tuple[_Replay, RunRecord]":
    replay, number = _Replay(), 0
    try:
        for number, line in _lines(path):  # noqa: B007 -- what fails names it.
            if not with_samples and line.startswith(SAMPLE_LINE):
                continue
            entry = _entry(line)
            replay.take(entry.pop("kind"), entry)
        if "run_id" not in replay.run:
            raise UsageError(f"{path} does not begin with a run: it is empty, or not a journal.")
        number = 0
        return replay, replay.record()
    except ValidationError as error:
        raise refused(_place(path, number), error) from None
    except _OutOfPlace as error:
        raise UsageError(f"{_place(path, number)}: {error}") from None
    except KeyError as error:
        raise UsageError(f"{_place(path, number)}: the entry lacks {error}. {NEWER}") from None


def _place(path: Path, number: int) -> str:
    """The line, or where there is none that is at fault the file."""
    return f"{path}, line {number}" if number else str(path)


def refused(place: str, error: ValidationError) -> UsageError:
    """What is at this place is not of the version that this harness writes."""
    return UsageError(f"{place} is not a record of version {SCHEMA_VERSION} ({first_mistake(error)}). {NEWER}")


class _OutOfPlace(Exception):
    """An entry that cannot stand where it does; a sentence."""


@dataclass(slots=True)
class _Pass:
    """One variant's pass in one round: the entry that began it, its samples and phases, and the entry that ended it."""

    variant: dict[str, Any]
    round: int
    samples: SampleColumns = field(default_factory=SampleColumns)
    phases: list[PhaseRecord] = field(default_factory=list[PhaseRecord])
    disruptions: list[DisruptionRecord] = field(default_factory=list[DisruptionRecord])
    end: dict[str, Any] = field(default_factory=dict[str, Any])

    def take(self, kind: Literal["sample", "phase", "disruption"], entry: dict[str, Any]) -> None:
        match kind:
            case "sample":
                self.samples.read(entry)
            case "phase":
                self.phases.append(PhaseRecord.model_validate(entry))
                self._place(self.phases[-1])
            case "disruption":
                self.disruptions.append(DisruptionRecord.model_validate(entry))
            case _:
                assert_never(kind)

    def _place(self, phase: PhaseRecord) -> None:
        """Puts samples of workers whose clocks are known to have been ahead where they were; latencies stay."""
        ahead = {worker.worker: worker for worker in phase.workers if any(worker.ahead_s)}
        moved = {
            place: partial(_behind_at, ahead[traits.worker])
            for place, traits in enumerate(self.samples.traits)
            if traits.phase == phase.name and traits.worker in ahead
        }
        if moved:
            self.samples.move(moved)


def _behind_at(worker: WorkerRecord, offset_s: float) -> float:
    return -worker.ahead_at(offset_s)


@dataclass(slots=True)
class _Replay:
    """What the entries until now come to."""

    run: dict[str, Any] = field(default_factory=lambda: {"environment": {"host": {}, "software": {}, "server": {}}})
    """The head of the run record, as far as it is known."""
    passes: list[_Pass] = field(default_factory=list[_Pass])
    """The passes of variants, the last of which may have been cut off."""
    looks: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    """When it was looked whether the run may end."""
    resumptions: list[Resumption] = field(default_factory=list[Resumption])
    """When it went on after it had ended before its time."""
    rates: list[AskedRate] = field(default_factory=list[AskedRate])
    """The rates that a search for a capacity asked for."""
    elapsed_before_s: float = 0.0
    """How many seconds the run had taken before it went on last."""
    profiles: list[ProfileRecord] = field(default_factory=list[ProfileRecord])
    """What profilers observed."""
    statement_profiles: list[StatementProfile] = field(default_factory=list[StatementProfile])
    """Statements that were executed once by themselves."""
    elapsed_s: float = 0.0
    """How many seconds the run has taken in all."""
    sampled_on_s: float = 0.0
    """How many seconds its rounds beyond the planned ones took."""
    interruption: str | None = NO_END
    """Why it is partial; None where it came to its end."""
    aborted_by: str | None = None
    """The budget that ended it early; None where none did."""

    def take(self, kind: str, entry: dict[str, Any]) -> None:
        """Raises `_OutOfPlace`."""
        match kind:
            case "sample" | "phase" | "disruption":
                self._pass_of(entry.pop("variant")).take(kind, entry)
            case "run" | "environment":
                self._take_head(entry)
            case "variant":
                self.passes.append(_Pass(entry, round=entry.pop("round", 1)))
            case "variant_end":
                self._pass_of(entry["name"]).end = entry
            case "elapsed":
                self.elapsed_s = self.elapsed_before_s + entry["elapsed_s"]
            case "profile" | "statement_profile":
                self._take_profile(kind, entry)
            case "look" | "rate":
                self._take_course(kind, entry)
            case "resumed":
                self._resume(entry)
            case "end":
                self.elapsed_s = self.elapsed_before_s + entry["elapsed_s"]
                self.interruption, self.aborted_by = entry["interruption"], entry.get("aborted_by")
            case _:
                raise _OutOfPlace(f"unknown entry {kind!r}. {NEWER}")

    def _take_head(self, entry: dict[str, Any]) -> None:
        self.run |= entry
        version = self.run.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise _OutOfPlace(f"a journal of version {version}, not {SCHEMA_VERSION}. {NEWER}")

    def _pass_of(self, variant: str) -> _Pass:
        """Its last one: variants that take turns have a pass each at the same time. Raises `_OutOfPlace`."""
        for each in reversed(self.passes):
            if each.variant["name"] == variant:
                return each
        raise _OutOfPlace(f"{variant!r} has not begun its pass, so lines of the journal are missing.")

    @property
    def ended(self) -> list[_Pass]:
        """Those that need not be measured again: variants that took turns were to share their time, so all or none."""
        if self.run.get("scenario", {}).get("slices", 1) == 1:
            return [each for each in self.passes if each.end]
        cut_off = {each.round for each in self.passes if not each.end}
        return [each for each in self.passes if each.round not in cut_off]

    def _resume(self, entry: dict[str, Any]) -> None:
        """Leaves out what was cut off: it is measured again, and half a pass is on another clone."""
        kept = self.ended
        discarded = {each.variant["name"]: len(each.samples) for each in self.passes if each not in kept}
        self.resumptions.append(Resumption(at=entry["at"], interruption=self.interruption or "", discarded=discarded))
        self.passes = kept
        self.elapsed_before_s, self.interruption, self.aborted_by = self.elapsed_s, NO_END, None

    def _take_course(self, kind: Literal["look", "rate"], entry: dict[str, Any]) -> None:
        """What decided how the run goes on."""
        match kind:
            case "look":
                self.looks.append(entry["samples"])
                self.sampled_on_s = entry["sampled_on_s"]
            case "rate":
                self.rates.append(AskedRate.model_validate(entry))
            case _:
                assert_never(kind)

    def _take_profile(self, kind: Literal["profile", "statement_profile"], entry: dict[str, Any]) -> None:
        match kind:
            case "profile":
                self.profiles.append(ProfileRecord.model_validate(entry))
            case "statement_profile":
                self.statement_profiles.append(StatementProfile.model_validate(entry))
            case _:
                assert_never(kind)

    def record(self) -> RunRecord:
        passes: defaultdict[str, list[_Pass]] = defaultdict(list)
        for each in self.passes:
            passes[each.variant["name"]].append(each)
        return RunRecord(
            **self.run,
            elapsed_s=self.elapsed_s,
            state="partial" if self.interruption else "complete",
            interruption=self.interruption,
            aborted_by=self.aborted_by,
            looks=tuple(self.looks),
            resumptions=tuple(self.resumptions),
            rates=tuple(self.rates),
            variants=tuple(map(_variant, passes.values())),
            profiles=tuple(self.profiles),
            statement_profiles=tuple(self.statement_profiles),
        )


def _variant(passes: Sequence[_Pass]) -> VariantRecord:
    """One variant's passes in the order of their rounds."""
    ends = chain.from_iterable(each.end.items() for each in passes)
    served = Counter[str]()
    for each in passes:
        served.update(each.end.get("served", {}))
    fields: dict[str, Any] = {**passes[0].variant, **dict(ends), "served": dict(served)}
    return VariantRecord(
        **fields,
        samples=SampleColumns.joined([each.samples for each in passes]),
        phases=tuple(chain.from_iterable(each.phases for each in passes)),
        disruptions=tuple(chain.from_iterable(each.disruptions for each in passes)),
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines with their numbers; a last one without its end was being written when the run was killed."""
    try:
        with path.open("rb") as lines:
            yield from ((number, line) for number, line in enumerate(lines, start=1) if line.endswith(b"\n"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise _OutOfPlace(f"not JSON ({error}).") from None
    if not isinstance(entry, dict) or "kind" not in entry:
        raise _OutOfPlace("not an entry of a journal.")
    return cast("dict[str, Any]", entry)
