"""Reads a file of one text per line, no further than asked, and says which line is wrong and how.

JSON Lines (`.jsonl`, `.ndjson`, `.json`) hold one object per line; any other file is plain text.
"""

import codecs
import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import UsageError
from harness.mistakes import first_mistake

JSON_SUFFIXES: Final = frozenset({".jsonl", ".ndjson", ".json"})

# A content of 50,000 characters takes 600,000 bytes when each is escaped; the rest is for fields that are ignored.
LINE_BYTES_MAX: Final = 16 * 2**20

Line = TypeVar("Line", bound=BaseModel)


class LineFile(Generic[Line]):
    """The lines of one file whose `key` is distinct: what occurs again is dropped and counted.

    In a plain file the line itself is the value of `key`, and blank lines are skipped.
    """

    def __init__(self, path: Path, model: type[Line], key: str) -> None:
        self.path = path
        self.repeats = 0
        self._model = model
        self._key = key
        self._is_json = path.suffix.lower() in JSON_SUFFIXES
        self._kept: dict[str, Line] = {}
        self._offset = 0
        self._line = 1

    def first(self, count: int) -> tuple[Line, ...]:
        """The first `count` lines, or all when there are fewer. Reads on from where the last call stopped."""
        if len(self._kept) < count:
            with self._opened() as file:
                self._read_on(file, count)
        return tuple(islice(self._kept.values(), count))

    def digest(self) -> str:
        """SHA-256 hex over the bytes of the whole file."""
        with self._opened() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def _opened(self) -> Generator[BufferedReader, None, None]:
        try:
            if self.path.exists() and not self.path.is_file():
                raise UsageError(f"{self.path} is not a regular file. Name the file that holds the texts.")
            with self.path.open("rb") as file:
                yield file
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be read: {error.strerror}. Name a file that exists and that you may read."
            ) from error

    def _read_on(self, file: BufferedReader, count: int) -> None:
        file.seek(self._offset)
        while len(self._kept) < count and (raw := file.readline(LINE_BYTES_MAX)):
            self._keep(raw)
            self._offset += len(raw)
            self._line += 1

    def _keep(self, raw: bytes) -> None:
        text = self._decoded(raw).strip()
        if not text:
            return
        line = self._parsed(text)
        key = getattr(line, self._key)
        self.repeats += key in self._kept
        self._kept.setdefault(key, line)

    def _decoded(self, raw: bytes) -> str:
        if len(raw) == LINE_BYTES_MAX:
            raise self._wrong(f"it is longer than {LINE_BYTES_MAX:,} bytes")
        mark = codecs.BOM_UTF8 if self._offset == 0 and raw.startswith(codecs.BOM_UTF8) else b""
        try:
            return raw[len(mark) :].decode()
        except UnicodeDecodeError as error:
            offset = self._offset + len(mark) + error.start
            raise self._wrong(f"the byte at offset {offset:,} of the file is not UTF-8") from None

    def _parsed(self, text: str) -> Line:
        try:
            if self._is_json:
                return self._model.model_validate_json(text)
            return self._model.model_validate({self._key: text})
        except ValidationError as error:
            raise self._wrong(_complaint(error)) from None

    def _wrong(self, complaint: str) -> UsageError:
        return UsageError(f"{self.path}, line {self._line:,}: {complaint}. Correct the line or remove it.")


def _complaint(error: ValidationError) -> str:
    """What is wrong first, in words that fit after the line's number."""
    first = error.errors(include_url=False)[0]
    match first["type"]:
        case "json_invalid" if "hex escape" in first["msg"]:
            return r"a \u escape in it is cut short or is half of a surrogate pair"
        case "json_invalid":
            # A line of JSON Lines is line 1 to its parser, which would be misread as the file's.
            reason = first["msg"].split(": ", 1)[-1].replace(" at line 1 column", " at column")
            return f"it is not JSON: {reason}; each line has to be an object of its own"
        case "model_type":
            return "it is not a JSON object"
        case _:
            return first_mistake(error)
