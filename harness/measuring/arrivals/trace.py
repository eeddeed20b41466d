"""A recorded log of operations, sent again at the distances that it had."""

import codecs
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import UsageError
from harness.measuring.arrivals._shared.schedule import IN_FLIGHT_MAX, InFlightMax, Schedule
from harness.measuring.arrivals.protocol import ArrivalSettings, PhaseBounds, Streams
from harness.measuring.beside import FileBeside
from harness.measuring.operations import Request
from harness.mistakes import first_mistake


class TraceLine(BaseModel, frozen=True):
    """One operation of the log: when, what, and with which of the contract's input fields. Other keys are ignored."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    offset_s: Annotated[float, Field(ge=0)]
    operation: str
    arguments: dict[str, object]


class TraceSettings(ArrivalSettings, frozen=True):
    """`arrival` with `kind = "trace"`: JSON Lines of `offset_s`, `operation` and `arguments`, in the order of time.

    The first `warm_up` lines warm up, and the rest begins at once after them. The phase's `time_s` leaves out what
    would come later.
    """

    kind: Literal["trace"] = "trace"
    """The name of the arrival: a recorded log of operations that is sent again."""
    path: FileBeside
    """The trace log, a file beside the scenario."""
    speed: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """How often the log's own rate; 2 takes half its time."""
    in_flight_max: InFlightMax = IN_FLIGHT_MAX

    def check(self, bounds: PhaseBounds) -> None:
        lines = len(read(self.path))
        bounds.with_starts(self.kind, lines)
        if bounds.warm_up >= lines:
            raise ValueError(f"{self.path} has {lines} lines, and `warm_up` takes {bounds.warm_up}. Lower `warm_up`.")

    def duration_s(self, bounds: PhaseBounds) -> float:
        return self._offsets_s(bounds)[-1]

    def open(self, bounds: PhaseBounds, streams: Streams) -> Schedule:
        del streams
        return Schedule(self._offsets_s(bounds), self.in_flight_max)

    @property
    def own_requests(self) -> Sequence[Request]:
        return [Request(line.operation, line.arguments) for line in read(self.path)]

    def _offsets_s(self, bounds: PhaseBounds) -> list[float]:
        timed = read(self.path)[bounds.warm_up :]
        offsets_s = [(line.offset_s - timed[0].offset_s) / self.speed for line in timed]
        return [offset_s for offset_s in offsets_s if bounds.time_s is None or offset_s < bounds.time_s]


@lru_cache
def read(path: Path) -> tuple[TraceLine, ...]:
    """Raises `UsageError` that names the line."""
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise UsageError(f"The trace {path} cannot be read ({error.strerror}).") from None
    lines = tuple(_lines(path, content))
    if not lines:
        raise UsageError(f"The trace {path} is empty. It holds one JSON object a line.")
    return lines


def _lines(path: Path, content: bytes) -> Iterator[TraceLine]:
    reached_s = 0.0
    for number, text in enumerate(content.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = TraceLine.model_validate_json(text)
        except ValidationError as error:
            raise UsageError(f"{path}:{number}: {first_mistake(error)}.") from None
        if line.offset_s < reached_s:
            raise UsageError(
                f"{path}:{number}: `offset_s` goes back from {reached_s:g} to {line.offset_s:g}. Sort the lines by it."
            )
        reached_s = line.offset_s
        yield line
