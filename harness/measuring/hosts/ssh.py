"""Hosts that OpenSSH reaches: `--workers ssh:hosts.txt`, with a scheduler of the run's own on this machine.

Certificates are made for the run and go to each host through its ssh connection; nobody else can join.
"""

import json
import shlex
import socket
import subprocess
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.children import environment
from harness.errors import UsageError
from harness.measuring.hosts.protocol import HostsOpened

SLOTS: Final = "slots="
PYTHON: Final = "python="
HOST_NAME: Final = "hostname "
ANY_PORT: Final = 9
"""Of a datagram that is never sent: to connect says by which address this machine reaches a host."""

STARTER: Final = """
import json, os, shutil, signal, sys, tempfile, threading
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
told = json.loads(sys.stdin.readline())
room = tempfile.mkdtemp(prefix="anima-harness-dask-")
removing = threading.Lock()
def leave():
    sys.stdin.read()
    with removing:
        shutil.rmtree(room, ignore_errors=True)
        os._exit(0)
try:
    for name in ("ca", "cert", "key"):
        path = os.path.join(room, name + ".pem")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(told[name])
    threading.Thread(target=leave, daemon=True).start()
    from distributed.cli.dask_worker import main
    files = [part for name, option in (("ca", "ca-file"), ("cert", "cert"), ("key", "key"))
             for part in ("--tls-" + option, os.path.join(room, name + ".pem"))]
    main([told["scheduler"], "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--name", told["name"],
          "--nthreads", str(told["slots"]), "--local-directory", room, *files])
finally:
    with removing:
        shutil.rmtree(room, ignore_errors=True)
"""
"""What the Python of a host executes; its certificates come through standard input, whose end is its own.

It leaves nothing there, whichever ends it first: the end of the input, a signal, its scheduler or an error.
"""


@dataclass(frozen=True, slots=True)
class SshHost:
    """A line of the file: where ssh connects to, with how many slots and which Python."""

    name: str
    slots: int = 1
    python: str = "python3"


class OverSsh:
    """The kind of hosts that `ssh:` names."""

    def check(self, rest: str) -> None:
        hosts_in(Path(rest))

    @asynccontextmanager
    async def open(self, rest: str) -> HostsOpened:
        from distributed import Security  # noqa: PLC0415 -- of an extra, and slow to import.

        from harness.measuring.hosts._shared.own_cluster import (  # noqa: PLC0415
            HostCommand,
            cluster_of,
            own_scheduler,
        )

        hosts = hosts_in(Path(rest))
        making: Any = Security
        security = making.temporary()
        async with own_scheduler(address_towards(hosts[0].name), security) as address:
            commands = [
                HostCommand(host.name, ssh_command(host), environment(), _introduction(host, address, security))
                for host in hosts
            ]
            async with cluster_of(address, commands, security) as opened:
                yield opened


def _introduction(host: SshHost, scheduler: str, security: object) -> bytes:
    known = {"ca": "tls_ca_file", "cert": "tls_worker_cert", "key": "tls_worker_key"}
    certificates = {name: getattr(security, attribute) for name, attribute in known.items()}
    return json.dumps({"scheduler": scheduler, "name": host.name, "slots": host.slots, **certificates}).encode() + b"\n"


def ssh_command(host: SshHost) -> Sequence[str]:
    """Never asks: a run has nobody who could answer."""
    return ("ssh", "-o", "BatchMode=yes", host.name, f"exec {shlex.quote(host.python)} -P -c {shlex.quote(STARTER)}")


def hosts_in(path: Path) -> Sequence[SshHost]:
    """Those of the file, one a line. Raises `ValueError` that names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"the hosts in {path} cannot be read ({error.strerror})") from None
    found = [
        _host(f"{path}:{number}", line.split()) for number, line in enumerate(lines, start=1) if _says_something(line)
    ]
    if not found:
        raise ValueError(f"{path} names 0 hosts. It holds one a line, such as `user@10.0.0.7 slots=4`")
    return found


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


def _host(place: str, words: Sequence[str]) -> SshHost:
    name, *options = words
    if name.startswith("-"):
        raise ValueError(f"{place}: {name!r} is no host")
    slots, python = "1", "python3"
    for option in options:
        if option.startswith(SLOTS):
            slots = option.removeprefix(SLOTS)
        elif option.startswith(PYTHON):
            python = option.removeprefix(PYTHON)
        else:
            raise ValueError(f"{place}: {option!r} is neither slots=… nor python=…")
    if not slots.isdecimal() or not int(slots):
        raise ValueError(f"{place}: a host has 1 slot or more, and not {slots!r}")
    return SshHost(name, int(slots), python)


def address_towards(host: str) -> str:
    """The address of this machine by which it reaches the host. Raises `UsageError` where there is no such host."""
    name = _name_of(host)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(name, ANY_PORT, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as towards:
            towards.connect(address)
            found: str = towards.getsockname()[0]
    except OSError as error:
        raise UsageError(
            f"There is no way from here to {name} ({error.strerror}). Correct the file of hosts."
        ) from None
    return found


def _name_of(host: str) -> str:
    """Its name on the network, which the configuration of ssh may know by another."""
    try:
        asked = subprocess.run(["ssh", "-G", host], check=False, capture_output=True, text=True)  # noqa: S603, S607 -- whose path is the user's
    except OSError as error:
        raise UsageError(
            f"There is no ssh to reach {host} with ({error.strerror}). Install OpenSSH's client."
        ) from None
    named = (line.removeprefix(HOST_NAME) for line in asked.stdout.splitlines() if line.startswith(HOST_NAME))
    return next(named, host.rpartition("@")[2])
