"""The seam of what is observed in the profiling pass, which is never the timed one."""

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class ProfiledOperation:
    """Says what is profiled: one variant's operation in one round, and its database by its name on the server.

    `packages` are those that are measured: installed like any library, they are none.
    """

    variant: str
    operation: str
    round: int
    directory: Path
    admin_url: str
    database: str
    packages: frozenset[str] = frozenset()

    @property
    def database_url(self) -> str:
        """Straight to the variant's database, without the delay that its target has."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{quote(self.database)}"))

    @property
    def file(self) -> Path:
        """Where files for other tools belong, without a suffix; its directory is there."""
        name = re.sub(r"[^\w.+]+", "-", f"{self.variant}-{self.operation}-{self.round}")
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.directory / name


class Profiler(Protocol):
    """Observes the requests that are performed inside the block, one after the other.

    What it yields is filled when the block ends: fields of the subject's `ProfileRecord`.
    """

    def observe(self, subject: ProfiledOperation) -> AbstractAsyncContextManager[dict[str, Any]]: ...
