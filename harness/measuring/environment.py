"""The fingerprint of where a run happens: what must be alike before two runs are compared."""

import os
import platform
from importlib.metadata import version
from typing import Final

import psutil

from harness.measuring.servers.provisioners.protocol import ServerFacts
from harness.record import EnvironmentRecord

PACKAGES: Final = ("anima-harness", "asyncpg", "pgvector", "pgqueuer", "numpy", "scipy")


def fingerprint(server: ServerFacts) -> EnvironmentRecord:
    facts = {
        "provisioner": server.provisioner,
        "postgres_version": server.postgres_version,
        "pgvector_version": server.pgvector_version,
        "cloning": server.cloning,
        **({"lacks": list(server.lacks)} if server.lacks else {}),
        **({"runtime": dict(server.runtime)} if server.runtime else {}),
        "settings": dict(server.settings),
    }
    return EnvironmentRecord(host=host(), software=software(), server=facts)


def host() -> dict[str, str]:
    """The machine, without its name: a report is for showing around."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cpus": str(processors()),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.0f}",
    }


def software() -> dict[str, str]:
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def processors() -> int:
    """Says how many of them this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 -- a pseudo-file, read as lines
            models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
            return next(models, platform.processor())
    except OSError:
        return platform.processor()
