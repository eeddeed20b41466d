"""A cluster of databases in one file: the data directory of a server that has stopped, to begin another one with.

Whoever keeps it knows by its name what is in it. It holds no password that is good for anything: the server that begins
with it gives its administrator a new one.
"""

import tarfile
from pathlib import Path
from typing import Final

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners._shared.databases import data_directory
from harness.measuring.servers.provisioners.protocol import Server

DATA: Final = "data"
RUNTIME_FILES: Final = frozenset({"postmaster.pid", "postmaster.opts"})

Owner = tuple[int, int]
"""The numbers of a user and of its group."""


async def pack(server: Server, path: Path) -> None:
    """Stops the server for as long as its data is read. Raises `ProvisioningError`."""
    directory = Path(await data_directory(server.admin_url))
    async with server.disrupted("restart"):
        # Not in a thread: one that outlived a cancelled run would read what is being removed.
        with tarfile.open(path, "w") as archive:
            archive.add(directory, DATA, filter=lambda member: None if _is_runtime(member) else member)


def _is_runtime(member: tarfile.TarInfo) -> bool:
    return Path(member.name).name in RUNTIME_FILES


def unpack(path: Path, directory: Path, owner: Owner | None) -> None:
    """For this owner where root unpacks it. Raises `ProvisioningError` for what is no whole archive of a cluster."""
    try:
        with tarfile.open(path) as archive:
            # The archive is our own, and a server's data has no links; older Pythons know no filters.
            archive.extraction_filter = lambda member, _: member
            archive.extractall(directory, [_of(owner, member) for member in archive], numeric_owner=True)  # noqa: S202
    except (OSError, tarfile.TarError) as error:
        raise ProvisioningError(
            f"The kept cluster {path} cannot be used: {error}. Remove it: `harness clean`."
        ) from None


def _of(owner: Owner | None, member: tarfile.TarInfo) -> tarfile.TarInfo:
    if owner is not None:
        member.uid, member.gid = owner
    return member
