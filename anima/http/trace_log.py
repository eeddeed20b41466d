"""A log of operations in the trace format that the harness replays: JSON Lines of when, what, and with what.

Texts are hashed unless asked otherwise, word by word, with a key that is drawn at the start and never written. Equal
words stay equal, so a replay has the same exact duplicates, cache hits and shared words as the original, but not its
meaning: a provider that understands language finds other memories similar.
"""

import fcntl
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from anima.errors import InvalidInput
from anima.model import Input

TracedOperation: TypeAlias = Literal["add", "query", "bootstrap"]
OperationObserver: TypeAlias = Callable[[TracedOperation, Input], None]
"""Told of each valid request before it is served."""

WORD: Final = re.compile(r"\w+")
HASH_BYTES: Final = 4
TEXTS_MAX: Final[Mapping[str, int]] = {
    "content": 50_000,
    "query": 5_000,
    "category": 100,
    "source": 100,
    "conversation_id": 200,
    "tags": 50,
}
"""The fields that hold what a person wrote, and how long each may be: a hash can be longer than its word."""

logger = logging.getLogger(__name__)


def unobserved(operation: TracedOperation, request: Input, /) -> None:
    """The observer where nobody asked for a log."""


@dataclass(frozen=True, slots=True)
class TraceLogSettings:
    """The same for all processes of a server: they share the file, its beginning, and the key."""

    path: Path
    with_contents: bool
    started_s: float = field(default_factory=time.monotonic)
    key: bytes = field(default_factory=lambda: token_bytes(32), repr=False)

    def create(self) -> None:
        """Raises `InvalidInput`: a log that goes on after an end would have times that go back."""
        try:
            self.path.touch(mode=0o600, exist_ok=False)
        except OSError as error:
            raise InvalidInput(
                f"The trace log {self.path} cannot be made ({error.strerror}). Name a file that does not exist."
            ) from None


class TraceLog:
    """Appends a line per operation. It ends at the first failure to write, which no request is to suffer from."""

    def __init__(self, settings: TraceLogSettings) -> None:
        self._settings = settings
        self._file = settings.path.open("ab", buffering=0)

    def __call__(self, operation: TracedOperation, request: Input) -> None:
        if self._file.closed:
            return
        arguments: dict[str, JsonValue] = request.model_dump(mode="json", exclude_unset=True)
        if not self._settings.with_contents:
            arguments = {name: self._hashed(name, value) for name, value in arguments.items()}
        try:
            self._append({"operation": operation, "arguments": arguments})
        except OSError as error:
            logger.warning("the trace log %s ends here: %s", self._settings.path, error)
            self._file.close()

    def close(self) -> None:
        self._file.close()

    def _append(self, line: Mapping[str, object]) -> None:
        """Under a lock, since the lines of several processes are in the order of their times."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            offset_s = round(time.monotonic() - self._settings.started_s, 6)
            self._file.write(json.dumps({"offset_s": offset_s, **line}).encode() + b"\n")
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _hashed(self, name: str, value: JsonValue) -> JsonValue:
        if name not in TEXTS_MAX:
            return value
        if isinstance(value, list):
            return [self._hashed(name, item) for item in value]
        return WORD.sub(self._hash, str(value))[: TEXTS_MAX[name]]

    def _hash(self, word: re.Match[str]) -> str:
        return hashlib.blake2b(word[0].encode(), digest_size=HASH_BYTES, key=self._settings.key).hexdigest()
