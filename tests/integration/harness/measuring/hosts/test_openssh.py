"""Hosts behind a real OpenSSH server, by a name that only the configuration of ssh knows."""

import asyncio
import getpass
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from harness.errors import UsageError
from harness.measuring.hosts import hosts_of
from harness.measuring.hosts.protocol import HostLost, HostPlace, Slot

pytest.importorskip("distributed", reason="dask comes with the extra `cluster`")
pytestmark = [pytest.mark.slow, pytest.mark.needs("sshd")]

LOOPBACK: Final = "127.0.0.1"

SERVER: Final = """
ListenAddress {loopback}:{port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
SetEnv TMPDIR={directory}/room
"""

CLIENT: Final = """
Host rack-7
    HostName {loopback}
    Port {port}
    User {user}
    IdentityFile {directory}/{key}
    IdentitiesOnly yes
    UserKnownHostsFile {directory}/known
    StrictHostKeyChecking accept-new
"""


def prepared(directory: Path, key: str) -> Path:
    """Writes what both sides of ssh are told, and the file of hosts."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    words = {"loopback": LOOPBACK, "port": port, "directory": directory, "user": getpass.getuser(), "key": key}
    (directory / "sshd_config").write_text(SERVER.format(**words), encoding="utf-8")
    (directory / "ssh_config").write_text(CLIENT.format(**words), encoding="utf-8")
    (directory / "room").mkdir()
    for name in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    ssh = directory / "programs" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {directory}/ssh_config "$@"\n', encoding="utf-8")
    ssh.chmod(ssh.stat().st_mode | stat.S_IXUSR)
    path = directory / "hosts.txt"
    path.write_text(f"rack-7 slots=2 python={sys.executable}\n", encoding="utf-8")
    return path


@asynccontextmanager
async def host_behind_ssh(directory: Path, monkeypatch: pytest.MonkeyPatch, key: str = "user") -> AsyncGenerator[Path]:
    """The file of hosts. Its host's room for temporary files is `room`."""
    path = prepared(directory, key)
    monkeypatch.setenv("PATH", f"{directory}/programs{os.pathsep}{os.environ['PATH']}")
    # It calls itself again for each connection, which takes its whole path.
    command = [str(shutil.which("sshd")), "-D", "-e", "-f", str(directory / "sshd_config")]
    server = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert server.stderr is not None
    try:
        while b"listening" not in (line := await server.stderr.readline()):
            assert line, "it does not listen"
        yield path
    finally:
        server.terminate()
        await server.communicate()


async def test_a_host_joins_under_its_alias_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with host_behind_ssh(tmp_path, monkeypatch) as path, hosts_of(f"ssh:{path}") as hosts:
        assert hosts.places == [HostPlace("rack-7"), HostPlace("rack-7")]
        await hosts.check("null", None)
        slot = await hosts.start(1, "{}", None)
        assert b'"kind":"failed"' in await first_words(slot)
        await slot.end()
        assert list((tmp_path / "room").iterdir())
    await gone(tmp_path / "room")


async def test_a_host_whose_connection_is_cut_is_lost_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host_behind_ssh(tmp_path, monkeypatch) as path, hosts_of(f"ssh:{path}") as hosts:
        slot = await hosts.start(0, "{}", None)
        await slot.moments()
        (connection,) = (each for each in psutil.Process().children() if each.name() == "ssh")
        connection.kill()
        with pytest.raises(HostLost, match="its dask worker has ended"):
            await asked_for_ever(slot)
        await gone(tmp_path / "room")


async def test_a_host_that_refuses_the_key_is_named_with_what_ssh_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host_behind_ssh(tmp_path, monkeypatch, key="other") as path:
        with pytest.raises(UsageError, match=r"rack-7 ended \(255\): .*Permission denied \(publickey"):
            await hosts_of(f"ssh:{path}").__aenter__()


async def first_words(slot: Slot) -> bytes:
    while not (block := await slot.read(0)).data:
        assert block.exit_code is None, block.complaint
    return block.data


async def asked_for_ever(slot: Slot) -> None:
    while True:
        await slot.moments()


async def gone(room: Path) -> None:
    """Returns once nothing is in there: the host ends after its connection, and nobody here hears of it."""
    async with asyncio.timeout(30):
        while os.listdir(room):  # noqa: ASYNC110, PTH208 -- nothing tells of a directory.
            await asyncio.sleep(0.05)
