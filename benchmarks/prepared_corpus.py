"""A prepared corpus: generated memories with their vectors, as files that PostgreSQL reads as they are.

    python benchmarks/prepared_corpus.py DIRECTORY --size 1000000

Each file holds 10,000 memories in the binary format of COPY, 35 MB; those that are there already are kept, so a longer
corpus goes on where a shorter one ended. A million takes some ten minutes and 3.5 GB.
"""

import argparse
import hashlib
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import asyncpg

from anima.embeddings.hashing import hashed_vector
from anima.model import content_hash
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.anima.corpora.protocol import CorpusMemory

SEED: Final = 2
MEMORIES_PER_FILE: Final = 10_000
HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = struct.pack("!h", -1)
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
LOADED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
TEXT_OID: Final = 25
COLUMNS: Final = (
    "id",
    "content",
    "content_hash",
    "embedding",
    "category",
    "tags",
    "source",
    "is_catalyst",
    "last_accessed",
    "tier_last_updated",
    "created_at",
    "updated_at",
)


def prepare(directory: Path, size: int) -> None:
    """Makes what is not there yet."""
    files = [_file(directory, number) for number in range(size // MEMORIES_PER_FILE)]
    if all(path.exists() for path in files):
        return
    directory.mkdir(parents=True, exist_ok=True)
    memories = GeneratedSettings(size=size, seed=SEED).open().memories(size)
    numbered = enumerate(memories)
    for path in files:
        part = list(islice(numbered, MEMORIES_PER_FILE))
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_bytes(HEADER + b"".join(map(_tuple, part)) + END)
            unfinished.rename(path)


async def load(connection: "asyncpg.Connection[Any]", directory: Path, size: int) -> None:
    """Writes the first `size` memories, in whole files. The table has no other."""
    for number in range(size // MEMORIES_PER_FILE):
        await connection.copy_to_table(
            "memories", source=_file(directory, number), columns=COLUMNS, format="binary", timeout=None
        )


def _file(directory: Path, number: int) -> Path:
    return directory / f"{number:04d}.copy"


def _tuple(numbered: tuple[int, CorpusMemory]) -> bytes:
    return struct.pack("!h", len(COLUMNS)) + b"".join(map(_field, _fields(*numbered)))


def _field(value: bytes | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value


def _fields(number: int, memory: CorpusMemory) -> Iterator[bytes | None]:
    digest = content_hash(memory.content)
    at = struct.pack("!q", (LOADED_AT - EPOCH + timedelta(seconds=number)) // timedelta(microseconds=1))
    vector = hashed_vector(memory.content)
    yield hashlib.blake2b(digest.encode(), digest_size=16).digest()
    yield memory.content.encode()
    yield digest.encode()
    yield struct.pack("!hh", len(vector), 0) + vector.astype(">f4").tobytes()
    yield memory.category.encode() if memory.category else None
    yield _array(memory.tags)
    yield memory.source.encode() if memory.source else None
    yield struct.pack("!?", memory.is_catalyst)
    yield from (at, at, at, at)


def _array(texts: Iterable[str]) -> bytes:
    elements = [_field(text.encode()) for text in texts]
    bounds = struct.pack("!ii", len(elements), 1) if elements else b""
    return struct.pack("!iiI", bool(elements), 0, TEXT_OID) + bounds + b"".join(elements)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=int, default=10_000, help="memories, in tens of thousands")
    chosen = parser.parse_args()
    prepare(chosen.directory, chosen.size)


if __name__ == "__main__":
    main()
