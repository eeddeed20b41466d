"""Says what this machine has, what a run would use, what is missing and how to get it."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import psutil

from harness.errors import ExitCode, ProvisioningError, extra, missing_extra
from harness.measuring.environment import cpu_model, processors
from harness.measuring.servers.provisioners import engine_answers
from harness.measuring.servers.wheel import installation

DISK_GIB_MIN: Final = 2.0
MEMORY_GIB_MIN: Final = 2.0
CPUS_MIN: Final = 2


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One thing that was looked at. A run needs those that are `required`."""

    what: str
    present: bool
    advice: str = ""
    required: bool = True


def doctor(output: Path, *, measures_generator: bool) -> ExitCode:
    if measures_generator:
        return show_generator()
    findings = examine(output)
    for finding in findings:
        click.echo(f"{'ok     ' if finding.present else 'missing'}  {finding.what}")
        if finding.advice:
            click.echo(f"         {finding.advice}")
    return ExitCode.PASS if all(finding.present for finding in findings if finding.required) else ExitCode.USAGE


def show_generator() -> ExitCode:
    """Prints what the load generator came to. INVALID is what runs on such a machine would be."""
    from harness.commands._shared import generator  # noqa: PLC0415 -- numerics, which nothing else here needs.

    good = True
    for finding in generator.examine():
        click.echo(f"{'ok     ' if finding.good else 'not ok '}  {finding.what}")
        if not finding.good:
            click.echo(f"         {finding.advice}")
        good &= finding.good
    return ExitCode.PASS if good else ExitCode.INVALID


def examine(output: Path) -> list[MachineFinding]:
    """Says what the machine has, found without starting or writing anything."""
    return list(_findings(output))


def _findings(output: Path) -> Iterator[MachineFinding]:
    yield MachineFinding(f"Python {platform.python_version()} (3.11 or later)", sys.version_info >= (3, 11))
    yield _embedded_postgres()
    yield _container_engine()
    yield _system_user()
    cpus = processors()
    yield MachineFinding(
        f"{cpus} processors ({cpu_model()})",
        cpus >= CPUS_MIN,
        "" if cpus >= CPUS_MIN else "Client and server share one: latencies will include waiting for it.",
        required=False,
    )
    memory_gib = psutil.virtual_memory().available / 2**30
    yield MachineFinding(
        f"{memory_gib:.1f} GiB of memory free",
        memory_gib >= MEMORY_GIB_MIN,
        "" if memory_gib >= MEMORY_GIB_MIN else f"End something: a run wants {MEMORY_GIB_MIN:g} GiB.",
    )
    existing = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    disk_gib = shutil.disk_usage(existing).free / 2**30
    yield MachineFinding(
        f"{disk_gib:.1f} GiB of disk free at {existing}",
        disk_gib >= DISK_GIB_MIN,
        "" if disk_gib >= DISK_GIB_MIN else f"Free some: a run wants {DISK_GIB_MIN:g} GiB.",
    )


def _embedded_postgres() -> MachineFinding:
    what = "embedded PostgreSQL 18 with pgvector"
    try:
        installation(postgres_major=18)
    except (ProvisioningError, ModuleNotFoundError) as error:
        return MachineFinding(what, present=False, advice=str(missing_extra(error) or error))
    return MachineFinding(what, present=True)


def _container_engine() -> MachineFinding:
    what = "a container engine, and the extra `containers`"
    advice = f"For `--database testcontainers`: {extra('containers')}, and start Docker or Podman."
    present = engine_answers()
    return MachineFinding(what, present, "" if present else advice, required=False)


def _system_user() -> MachineFinding:
    """PostgreSQL refuses to run as root, so root needs another user to run it as."""
    if os.name != "posix" or os.geteuid() != 0:
        return MachineFinding("not root: the server runs as this user", present=True)
    present = shutil.which("useradd") is not None
    return MachineFinding(
        "root: the server runs as the user `pgserver`",
        present,
        "" if present else "Install useradd (package `passwd`), or run as another user.",
    )
