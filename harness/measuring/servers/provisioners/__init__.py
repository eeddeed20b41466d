"""Says how a run gets its PostgreSQL: name to factory."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from harness.errors import ProvisioningError, extra
from harness.measuring.servers.provisioners._shared import engine
from harness.measuring.servers.provisioners.absent import AbsentProvisioner
from harness.measuring.servers.provisioners.external import ExternalProvisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Provisioner

AUTO: Final = "auto"
"""A container where an engine answers, else the embedded server."""


FOLLOWED: Final = frozenset({"embedded", "patroni"})
"""Those that start `standbys`."""


def _embedded(settings: DatabaseSettings) -> Provisioner:
    from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner  # noqa: PLC0415 -- an extra

    return EmbeddedProvisioner.of_settings(settings)


def _containers(settings: DatabaseSettings) -> Provisioner:
    try:
        from harness.measuring.servers.provisioners.testcontainers import ContainerProvisioner  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise ProvisioningError(
            f"PostgreSQL in a container needs the extra `containers`: {extra('containers')}."
        ) from error
    except RuntimeError as error:
        raise ProvisioningError(
            f"PostgreSQL in a container needs a home directory, where its settings may lie ({error}). Set HOME."
        ) from error
    return ContainerProvisioner.of_settings(settings)


def _patroni(settings: DatabaseSettings) -> Provisioner:
    from harness.measuring.servers.provisioners.patroni import PatroniProvisioner  # noqa: PLC0415 -- an extra

    return PatroniProvisioner.of_settings(settings)


PROVISIONERS: Final[Mapping[str, Callable[[DatabaseSettings], Provisioner]]] = {
    "embedded": _embedded,
    "testcontainers": _containers,
    "external": ExternalProvisioner.of_settings,
    "patroni": _patroni,
}


async def provisioner(settings: DatabaseSettings, *, needed: bool = True) -> Provisioner:
    """The one that is asked for, or none where nobody needs it. Raises `ProvisioningError` for one of no use here."""
    if not needed:
        return AbsentProvisioner()
    name = settings.provisioner
    if settings.standbys and name not in FOLLOWED:
        _refuse_standbys_elsewhere(name)
        name = "embedded"
    if name == AUTO:
        name = "testcontainers" if await asyncio.to_thread(engine_answers) else "embedded"
    return PROVISIONERS[name](settings)


def _refuse_standbys_elsewhere(name: str) -> None:
    if name != AUTO:
        raise ProvisioningError(
            f"The provisioner {name} starts no `standbys`; `embedded` and `patroni` do. Leave the key out, or choose "
            "one of those."
        )


async def clean_up(settings: DatabaseSettings) -> list[str]:
    """Has every provisioner that can be used here remove what runs have left; returns what was removed."""
    removed = list[str]()
    for name, factory in PROVISIONERS.items():
        if name != "testcontainers" or await asyncio.to_thread(engine_answers):
            removed += await factory(settings).clean()
    return removed


def engine_answers() -> bool:
    """Says whether containers can be started here."""
    if engine.is_away():
        return False
    try:
        from harness.measuring.servers.provisioners.testcontainers import engine_answers as answers  # noqa: PLC0415 -- an extra
    except (ImportError, RuntimeError):  # The second where this user has no home, in which testcontainers looks.
        return False
    return answers()
