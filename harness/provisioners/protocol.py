"""The seam between a run and the PostgreSQL server it uses."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a run records about its server: runs on unlike servers are not compared."""

    provisioner: str
    postgres_version: str
    pgvector_version: str
    settings: Mapping[str, str]


class Server(Protocol):
    """A running PostgreSQL with pgvector. All databases that it makes are gone when it closes.

    Each method raises `ProvisioningError` with what to do next. URLs are `postgresql://user[:password]@host:port/name`.
    """

    @property
    def facts(self) -> ServerFacts: ...

    async def create_database(self, name: str) -> str:
        """An empty database with the `vector` extension; returns its URL."""
        ...

    async def clone_database(self, template: str, name: str) -> str:
        """A copy of `template`, which must have no open connection; returns its URL."""
        ...

    async def drop_database(self, name: str) -> None:
        """Removes the database and ends its connections; does nothing when there is none."""
        ...


class Provisioner(Protocol):
    """A way to get a server."""

    @property
    def name(self) -> str: ...

    def start(self, settings: Mapping[str, str]) -> AbstractAsyncContextManager[Server]:
        """Starts a server with these `postgresql.conf` settings; stops and removes it whatever way the block ends."""
        ...
