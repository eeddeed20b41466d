"""An append-only record of a run as it happens: one JSON object a line, whole lines only.

A run that is killed leaves a journal from which `read` makes a record, marked as partial.
"""

import errno
import json
import os
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, UsageError
from harness.record import RunRecord, Sample, VariantRecord

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
        self.write("sample", {"variant": variant, **sample.model_dump(exclude_none=True)})

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
    run: dict[str, Any] = {"environment": {"host": {}, "software": {}, "server": {}}}
    end: dict[str, Any] = {}
    variants: dict[str, dict[str, Any]] = {}
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    elapsed_s = 0.0
    for entry in _entries(path):
        match entry.pop("kind"):
            case "run":
                run |= entry
            case "variant":
                variants.setdefault(entry["name"], entry)
            case "sample":
                samples[entry.pop("variant")].append(Sample.model_validate(entry))
            case "environment":
                run |= entry
            case "elapsed":
                elapsed_s = entry["elapsed_s"]
            case "variant_end":
                variants[entry["name"]] |= entry
            case "end":
                end = entry
            case unknown:
                raise UsageError(f"{path}: unknown entry {unknown!r}; a newer version of the harness wrote it.")
    if "run_id" not in run:
        raise UsageError(f"{path} does not begin with a run: it is empty, or not a journal.")
    return RunRecord(
        **run,
        elapsed_s=end.get("elapsed_s", elapsed_s),
        state="complete" if end.get("interruption", "missing") is None else "partial",
        interruption=end.get("interruption", "the journal has no end: the run was killed, or is still going on"),
        variants=tuple(VariantRecord(**variant, samples=tuple(samples[name])) for name, variant in variants.items()),
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
