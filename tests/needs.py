"""What some tests need beyond Python, and what happens where it is not there.

A test says `@pytest.mark.needs("redis-server")`. It is skipped with the reason where that is missing, and fails where
the variable TESTS_MUST_HAVE names it: a machine that was made ready for such tests is not to skip them unseen.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from harness.measuring.servers.provisioners import engine_answers

MUST_HAVE: Final = "TESTS_MUST_HAVE"


@dataclass(frozen=True, slots=True)
class Need:
    """Whether it is here, and the sentence for when it is not."""

    present: Callable[[], bool]
    missing: str


def chromium() -> str | None:
    """The path of a browser that draws pages as Chrome does."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def counting_postgresql() -> Path | None:
    """A PostgreSQL of the distribution's own that has pg_stat_statements."""
    libraries = sorted(Path("/usr/lib/postgresql").glob("*/lib/pg_stat_statements.so"))
    return libraries[0].parents[1] if libraries else None


def program(name: str, package: str) -> Need:
    return Need(lambda: shutil.which(name) is not None, f"there is no {name} on the PATH; Debian has it in {package}")


def works_in_namespace(*command: str) -> bool:
    """Whether this user may give a process a network of its own, and do this to that."""
    name = f"harness{os.getpid()}"
    if os.geteuid() or not shutil.which("ip") or not shutil.which(command[0]):
        return False
    subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    done = subprocess.run(["ip", "netns", "exec", name, *command], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return done.returncode == 0


def namespaces() -> bool:
    return works_in_namespace("ip", "link", "add", "hv0", "type", "veth", "peer", "name", "hv1")


def netem() -> bool:
    return works_in_namespace("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")


def samples_of_perf() -> bool:
    """Whether perf is here, may be used, and this machine's kernel gives it samples."""
    if not shutil.which("perf"):
        return False
    with TemporaryDirectory() as directory:
        options = f"--quiet --no-buildid-cache --event cpu-clock --output {directory}/perf.data"
        busy = sys.executable, "-c", "sum(range(5_000_000))"
        subprocess.run(["perf", "record", *options.split(), *busy], check=False, capture_output=True)
        script = subprocess.run(
            ["perf", "script", "--input", f"{directory}/perf.data"], check=False, capture_output=True
        )
    return b"cpu-clock" in script.stdout


NEEDS: Final[Mapping[str, Need]] = {
    "engine": Need(cache(engine_answers), "no container engine answers"),
    "cluster": Need(lambda: find_spec("distributed") is not None, "distributed comes with the extra `cluster`"),
    "redis-server": program("redis-server", "redis-server"),
    "chromium": Need(lambda: chromium() is not None, "there is no Chromium on the PATH"),
    "namespaces": Need(cache(namespaces), "no network namespaces can be made here: that takes root and iproute2"),
    "netem": Need(cache(netem), "this kernel delays and loses no packets on purpose: it lacks sch_netem"),
    "pgbouncer": program("pgbouncer", "pgbouncer"),
    "sshd": program("sshd", "openssh-server"),
    "etcd": program("etcd", "etcd-server"),
    "patroni": Need(
        lambda: shutil.which("patroni") is not None,
        'there is no patroni on the PATH; pip install "patroni[etcd3,psycopg3]" brings it',
    ),
    "pg_stat_statements": Need(
        lambda: counting_postgresql() is not None,
        "no PostgreSQL with pg_stat_statements lies below /usr/lib/postgresql",
    ),
    "perf": Need(cache(samples_of_perf), "perf (Debian: linux-perf) is missing, is refused, or takes no samples here"),
    "root": Need(lambda: os.geteuid() == 0, "only root may do this"),
    "squawk": Need(lambda: shutil.which("squawk") is not None, "squawk comes with the lint environment"),
}


def require(name: str) -> None:
    """Skips the test, or fails it, where what it needs is not here."""
    need = NEEDS[name]
    if need.present():
        return
    if name in os.environ.get(MUST_HAVE, "").split(","):
        pytest.fail(f"{MUST_HAVE} names {name}, but {need.missing}", pytrace=False)
    pytest.skip(need.missing)
