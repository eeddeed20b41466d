"""No PostgreSQL, for a run that has no use for one: what it asks runs already, with a database of its own."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, get_args

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners.protocol import Disruption, ServerFacts

NOBODY: Final = "The run starts no PostgreSQL, since what it asks has a database of its own."


@dataclass(frozen=True, slots=True)
class AbsentServer:
    """Has no databases: whoever gets the URL of one connects to nothing."""

    @property
    def facts(self) -> ServerFacts:
        return ServerFacts("absent", "none", "none", MappingProxyType({}))

    @property
    def admin_url(self) -> str:
        return ""

    def standby_urls(self, url: str) -> tuple[str, ...]:
        del url
        return ()

    async def create_database(self, name: str) -> str:
        del name
        return ""

    async def clone_database(self, template: str, name: str) -> str:
        del template, name
        return ""

    async def drop_database(self, name: str) -> None:
        """There is none."""

    async def log(self) -> str:
        return ""

    async def log_on(self, position: int | None) -> tuple[bytes, int] | None:
        del position
        return None

    async def cpu_s(self) -> float | None:
        return None

    @property
    def cannot(self) -> Mapping[Disruption, str]:
        return MappingProxyType(dict.fromkeys(get_args(Disruption), NOBODY))

    def disrupted(self, disruption: Disruption) -> AbstractAsyncContextManager[None]:
        raise ProvisioningError(f"{disruption}: {NOBODY}")


class AbsentProvisioner:
    """Starts nothing, and so leaves nothing."""

    @property
    def name(self) -> str:
        return "absent"

    async def check(self) -> None:
        """Nothing can be wrong."""

    @asynccontextmanager
    async def start(self, settings: Mapping[str, str]) -> AsyncGenerator[AbsentServer]:
        del settings
        yield AbsentServer()

    async def clean(self) -> tuple[str, ...]:
        return ()
