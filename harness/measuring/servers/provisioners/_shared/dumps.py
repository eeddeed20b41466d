"""Copies a database through `pg_dump` and `pg_restore`, for servers that do not let PostgreSQL copy it itself.

The copy has the same rows and the same indexes, built anew, which takes as long as building them did.
"""

import asyncio
import tempfile
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from harness.children import environment
from harness.errors import ProvisioningError
from harness.measuring.servers.addresses import address
from harness.measuring.servers.wheel import installation

POSTGRES_MAJOR: Final = 18
"""Its programs know every server up to their own version."""

# What an administrator has put there belongs to nobody's copy: owners, grants, and comments on extensions.
OPTIONS: Final = ("--no-owner", "--no-privileges", "--no-comments")


async def dump_and_restore(source_url: str, destination_url: str) -> None:
    """Fills an empty database with what another contains, and analyses it. Raises `ProvisioningError`."""
    with tempfile.NamedTemporaryFile(prefix="harness-dump-") as dump:
        await _run("pg_dump", source_url, "--format=custom", "--compress=0", f"--file={dump.name}", *OPTIONS)
        await _run("pg_restore", destination_url, "--exit-on-error", *OPTIONS, dump.name)
    await _run("psql", destination_url, "--no-psqlrc", "--quiet", "--command=VACUUM (ANALYZE)")


async def _run(program: str, url: str, *arguments: str) -> None:
    """The password goes through the environment, which nobody else on the machine can read."""
    parts = urlsplit(url)
    process = await asyncio.create_subprocess_exec(
        installation(POSTGRES_MAJOR) / "bin" / program,
        f"--dbname={urlunsplit(parts._replace(netloc=_without_password(parts.netloc)))}",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**({"PGPASSWORD": unquote(parts.password)} if parts.password else {})),
    )
    try:
        _, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise ProvisioningError(
            f"The database could not be copied at {address(url)}: {complaint.decode(errors='replace').strip()}"
        )


def _without_password(netloc: str) -> str:
    credentials, at, place = netloc.rpartition("@")
    return credentials.partition(":")[0] + at + place
