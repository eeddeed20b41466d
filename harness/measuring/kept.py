"""Says what a gate keeps for later ones, by its content: loaded clusters, and what was counted of a revision.

A directory in the user's cache, with a limit. Each file is whole or not there, and its name or its first line says what
it must hold, so any number of gates may use one at once, and one that is broken is made again.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from harness.errors import UsageError
from harness.record import VariantRecord

DIRECTORY_VARIABLE: Final = "HARNESS_CACHE_DIRECTORY"
LIMIT_VARIABLE: Final = "HARNESS_CACHE_MB"
LIMIT_MB: Final = 2_000
CLUSTERS: Final = "clusters"
COUNTS: Final = "counts"
UNFINISHED: Final = ".unfinished-"
CHUNK_BYTES: Final = 2**20
MARK: Final = "anima-harness keeps here what `harness clean` removes.\n"
MARK_FILE: Final = "README"


class CountedSide(BaseModel):
    """Says what was counted of a revision, in every place."""

    variants: tuple[VariantRecord, ...]


def directory() -> Path:
    """Where it is kept unless a command says otherwise."""
    stated = os.environ.get(DIRECTORY_VARIABLE)
    if stated:
        return Path(stated)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "anima-harness"  # noqa: PTH117 -- "" is none
    except RuntimeError:
        raise UsageError(
            f"There is no home directory for what gates keep. Name one with {DIRECTORY_VARIABLE}."
        ) from None


def limit_bytes() -> int:
    """Raises `UsageError`."""
    stated = os.environ.get(LIMIT_VARIABLE, str(LIMIT_MB))
    if not stated.isdecimal():
        raise UsageError(f"{LIMIT_VARIABLE}={stated!r} is no number of megabytes. Write one such as {LIMIT_MB}.")
    return int(stated) * 2**20


@dataclass(frozen=True, slots=True)
class Kept:
    """The directory, made and writable. `note` is told what was broken."""

    directory: Path
    limit_bytes: int
    note: Callable[[str], None]

    @classmethod
    def opened(cls, place: Path, note: Callable[[str], None]) -> "Kept":
        """Raises `UsageError` for a directory that cannot be written."""
        limit = limit_bytes()
        try:
            for name in (CLUSTERS, COUNTS):
                (place / name).mkdir(parents=True, exist_ok=True)
            probe = place / f"{UNFINISHED}{secrets.token_hex(8)}"
            probe.write_text(MARK, encoding="utf-8")
            probe.replace(place / MARK_FILE)
        except OSError as error:
            raise UsageError(
                f"What the gate keeps cannot be written to {place}: {error.strerror}. Name another directory with "
                f"{DIRECTORY_VARIABLE}."
            ) from None
        return cls(place, limit, note)

    def cluster(self, family: str) -> Path | None:
        """The newest of this family that is whole."""
        for path in sorted((self.directory / CLUSTERS).glob(f"{family}-*.tar"), key=_used_at, reverse=True):
            if path.stem.partition("-")[2] == _digest(path):
                with contextlib.suppress(OSError):
                    os.utime(path)
                return path
            self.note(f"The kept corpus {path.name} is broken: it is loaded again.")
            path.unlink(missing_ok=True)
        return None

    @contextmanager
    def new_cluster(self, family: str) -> Generator[Path]:
        """A file to write, which takes the place of others of the family when it is whole."""
        folder = self.directory / CLUSTERS
        unfinished = folder / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            yield unfinished
            kept = folder / f"{family}-{_digest(unfinished)}.tar"
            unfinished.replace(kept)
        except OSError as error:
            self.note(f"The loaded corpus is not kept: {error.strerror}.")
        else:
            for path in folder.glob(f"{family}-*.tar"):
                if path != kept:
                    path.unlink(missing_ok=True)
            self._shrink(kept)
        finally:
            unfinished.unlink(missing_ok=True)

    def counts(self, key: str) -> CountedSide | None:
        """Says what was counted under this key, if it was."""
        path = self.directory / COUNTS / f"{key}.json"
        try:
            found = CountedSide.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            self.note(f"The kept counters {path.name} are broken: they are counted again.")
            path.unlink(missing_ok=True)
            return None
        os.utime(path)
        return found

    def keep_counts(self, key: str, counted: CountedSide) -> None:
        folder = self.directory / COUNTS
        unfinished = folder / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            unfinished.write_text(counted.model_dump_json(exclude_defaults=True), encoding="utf-8")
            unfinished.replace(folder / f"{key}.json")
        except OSError as error:
            self.note(f"What was counted is not kept: {error.strerror}.")
        finally:
            unfinished.unlink(missing_ok=True)
        self._shrink()

    def _shrink(self, newest: Path | None = None) -> None:
        """Removes what was not used for the longest time, until the rest is within the limit."""
        files = [path for path in _files(self.directory) if path != newest]
        total = sum(map(_size, files)) + (_size(newest) if newest else 0)
        for path in sorted(files, key=_used_at):
            if total <= self.limit_bytes:
                return
            total -= _size(path)
            path.unlink(missing_ok=True)


def remove(place: Path) -> int | None:
    """Returns how many bytes it had; None where nothing is kept there. What is not a gate's stays."""
    if not (place / MARK_FILE).is_file():
        return None
    total = sum(map(_size, _files(place)))
    for name in (CLUSTERS, COUNTS):
        shutil.rmtree(place / name, ignore_errors=True)
    (place / MARK_FILE).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        place.rmdir()
    return total


def _files(place: Path) -> Iterator[Path]:
    return (path for name in (CLUSTERS, COUNTS) for path in (place / name).glob("*") if path.is_file())


def _used_at(path: Path) -> float:
    """One that another gate has removed is the first to go."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()[:32]
