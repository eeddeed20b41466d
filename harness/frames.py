"""Says how profiles name frames: profilers write these names into stacks, and who compares profiles reads them again.

- `anima/memory.py:Memory.query` is a function of the system itself,
- `httpx: AsyncClient.post` one that it called in a library,
- `SQL query.search` a statement that the function before it sent,
- `[await]` the wait of the frame before it, and
- `postgres: ExecSort` a function of the server, below `SERVER`.
"""

from typing import Final

AWAITED: Final = "[await]"
SERVER: Final = "PostgreSQL: processor time of its sessions"
"""Below it stands what they compute, beside the requests that wait for it."""
_STATEMENT: Final = "SQL "
_LIBRARY: Final = ": "


def own_frame(file: str, function: str) -> str:
    return f"{file}:{function}"


def library_frame(library: str, function: str) -> str:
    return f"{library}{_LIBRARY}{function}"


def statement_frame(statement: str) -> str:
    return f"{_STATEMENT}{statement}"


def is_statement(frame: str) -> bool:
    return frame.startswith(_STATEMENT)


def is_library(frame: str) -> bool:
    return _LIBRARY in frame and not is_statement(frame)


def is_own(frame: str) -> bool:
    return frame != AWAITED and not is_statement(frame) and not is_library(frame)


def file_of(frame: str) -> str:
    """Of a function of the system itself."""
    return frame.rpartition(":")[0]
