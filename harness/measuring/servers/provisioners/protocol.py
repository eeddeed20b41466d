"""The seam between a run and the PostgreSQL server it uses."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final, Literal, Protocol

from pydantic import Field, field_validator

from harness.measuring.section import Section
from harness.measuring.servers.addresses import refuse_password

DEFAULT_IMAGE: Final = "pgvector/pgvector:pg17"

Cloning = Literal["template", "dump and restore"]
"""How a database is copied: by PostgreSQL itself, file by file, or through `pg_dump` where that is not to be had."""


Disruption = Literal["restart", "kill", "pause", "terminate_backends", "fill_disk", "fail_over"]
"""What can be done to a server on purpose.

`restart` shuts it down as an administrator does; `kill` ends every process of it at once, so that its next start
recovers; `pause` lets none of them run; `terminate_backends` ends the sessions in the run's databases; `fill_disk`
leaves no room where those databases lie; `fail_over` loses the server for good, and has the one that follows it take
its place.
"""


class DatabaseSettings(Section, frozen=True):
    """Tells what a scenario's `[database]` says. A provisioner reads the keys that are for it."""

    provisioner: str = "auto"
    """Where PostgreSQL comes from."""
    settings: dict[str, str] = Field(default={})
    """Settings of the server, as in postgresql.conf."""
    postgres_major: int = 18
    """embedded, patroni: the version of PostgreSQL."""
    image: str = DEFAULT_IMAGE
    """testcontainers: PostgreSQL with pgvector."""
    cpus: Annotated[float, Field(gt=0)] | None = None
    """testcontainers: how many processors the container may use; all unless stated."""
    memory_mb: Annotated[int, Field(ge=256)] | None = None
    """testcontainers: how much memory the container may use; all unless stated."""
    shm_mb: Annotated[int, Field(ge=64)] = 1024
    """testcontainers: the limit of /dev/shm, where a parallel index build keeps maintenance_work_mem."""
    disk_mb: Annotated[int, Field(ge=32)] | None = None
    """embedded (as root), testcontainers: the size of a disk in memory for the databases of the run, which `fill_disk`
    can fill.
    """
    standbys: Annotated[int, Field(ge=0, le=8)] = 0
    """embedded, patroni: how many servers follow it by streaming replication, to be read from or to take its place."""
    # A report is for showing around: it names neither the server nor who logs in.
    url: str | None = Field(default=None, exclude=True, repr=False)
    """external: postgresql://user@host:port/database, without its password."""
    prefix: str = Field(default="harness", pattern=r"^[a-z][a-z0-9_]{0,15}$")
    """external: what the names of the databases that a run makes begin with."""

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str | None) -> str | None:
        if url is not None:
            refuse_password(url)
        return url


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Says what a run records about its server: runs on unlike servers are not compared.

    `runtime` is what the server runs in, where the provisioner knows it; `lacks` are sentences on what its versions
    do not have, and what a run does instead.
    """

    provisioner: str
    postgres_version: str
    pgvector_version: str
    settings: Mapping[str, str]
    cloning: Cloning = "template"
    runtime: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    lacks: tuple[str, ...] = ()


class Server(Protocol):
    """A running PostgreSQL with pgvector. All databases that it makes are gone when it closes.

    Each method raises `ProvisioningError` with what to do next. URLs are
    `postgresql://user[:password]@host:port/name[?parameters]`. A server that others use too puts a prefix before
    the names, which its URLs then show.
    """

    @property
    def facts(self) -> ServerFacts: ...

    @property
    def admin_url(self) -> str:
        """Of a database that no run makes, for what concerns the server as a whole."""
        ...

    def standby_urls(self, url: str) -> tuple[str, ...]:
        """The same database on each server that follows this one, where it comes into being a moment later."""
        ...

    async def create_database(self, name: str) -> str:
        """An empty database with the `vector` extension; returns its URL."""
        ...

    async def clone_database(self, template: str, name: str) -> str:
        """A copy of `template`, which must have no open connection; returns its URL."""
        ...

    async def drop_database(self, name: str) -> None:
        """Removes the database and ends its connections; does nothing when there is none."""
        ...

    async def log(self) -> str:
        """The end of what the server has written, empty where it is not to be had."""
        ...

    async def log_on(self, position: int | None) -> tuple[bytes, int] | None:
        """The log from this position on, in whole lines, and where it ends; nothing but that for None.

        None where the log cannot be read so.
        """
        ...

    async def cpu_s(self) -> float | None:
        """Processor seconds of all of its processes since it started; None where they cannot be seen."""
        ...

    @property
    def cannot(self) -> Mapping[Disruption, str]:
        """The disruptions that are not to be had here, each with a sentence on why and what to do."""
        ...

    def disrupted(self, disruption: Disruption) -> AbstractAsyncContextManager[None]:
        """Disrupts the server from the start of the block to its end, whatever way it ends.

        It then answers again, at the same address and with all that was committed. A restarted or killed server is
        down within the block; sessions are terminated at its start. After a failover it is another server, whose
        address `admin_url` names too, with all that the lost one had sent it before.
        """
        ...


class Provisioner(Protocol):
    """A way to get a server."""

    @property
    def name(self) -> str: ...

    async def check(self) -> None:
        """Raises what `start` would, as far as that shows at once: what is made ready before need not wait for it."""
        ...

    def start(self, settings: Mapping[str, str]) -> AbstractAsyncContextManager[Server]:
        """Starts a server with these `postgresql.conf` settings; stops and removes it whatever way the block ends."""
        ...

    async def clean(self) -> tuple[str, ...]:
        """Removes what runs have left that are no more, as after a power cut; returns what was removed.

        What a run that goes on uses is not touched, nor anything that no run made.
        """
        ...
