"""Copies a database through `pg_dump` and `pg_restore`, for servers that do not let PostgreSQL copy it itself.

The copy has the same rows and the same indexes, built anew, which takes as long as building them did. A schema alone
is had as SQL.
"""

import asyncio
import re
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
SCHEMA_ONLY: Final = (
    *OPTIONS,
    "--schema-only",
    "--no-tablespaces",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
    "--exclude-extension=pg_stat_statements",
)
OF_PSQL_OR_THE_SESSION: Final = re.compile(r"^(?:\\|SET |SELECT pg_catalog\.set_config\().*\n", re.MULTILINE)
CHECKS_OFF: Final = "SET check_function_bodies = false;\n"
"""A function may name what comes later."""


async def dump_and_restore(source_url: str, destination_url: str) -> None:
    """Fills an empty database with what another contains, and analyses it. Raises `ProvisioningError`."""
    with tempfile.NamedTemporaryFile(prefix="harness-dump-") as dump:
        await _run("pg_dump", source_url, "--format=custom", "--compress=0", f"--file={dump.name}", *OPTIONS)
        await _run("pg_restore", destination_url, "--exit-on-error", *OPTIONS, dump.name)
    await _run("psql", destination_url, "--no-psqlrc", "--quiet", "--command=VACUUM (ANALYZE)")


async def schema_of(url: str) -> str:
    """The SQL that makes its schema, for any server and session. Raises `ProvisioningError`."""
    dumped = await _run("pg_dump", url, *SCHEMA_ONLY)
    head, begin, rest = dumped.partition("\n\n--\n-- Name: ")
    end = re.compile(r"^\\unrestrict .*\n", re.MULTILINE)
    return CHECKS_OFF + OF_PSQL_OR_THE_SESSION.sub("", head) + begin + end.sub("", rest)


async def _run(program: str, url: str, *arguments: str) -> str:
    """Returns what it writes. The password goes through the environment, which nobody else on the machine can read."""
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
        written, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise ProvisioningError(
            f"The database could not be copied at {address(url)}: {complaint.decode(errors='replace').strip()}"
        )
    return written.decode()


def _without_password(netloc: str) -> str:
    credentials, at, place = netloc.rpartition("@")
    return credentials.partition(":")[0] + at + place
