"""PostgreSQL under Patroni: an etcd of one node, and members of which Patroni decides who takes writes.

`etcd` and `patroni` are programs of the user's; PostgreSQL is the wheel's. All listen on 127.0.0.1 and lie in one
directory, and go away with it however the run ends. Nothing here promotes a server: how long that takes is measured.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import psutil

from harness.errors import ProvisioningError, UsageError
from harness.measuring.servers.addresses import plain_parameters
from harness.measuring.servers.processor_time import used_s
from harness.measuring.servers.provisioners._shared.accounts import (
    SYSTEM_USER,
    copy_installation,
    installation_for,
    make_directory,
    servers_account,
)
from harness.measuring.servers.provisioners._shared.databases import (
    DEFAULT_SETTINGS,
    NO_STANDBY,
    PostgresServer,
    connected,
    free_port,
    open_server,
    quoted,
    refuse_own_settings,
)
from harness.measuring.servers.provisioners._shared.followers import caught_up
from harness.measuring.servers.provisioners._shared.processes import (
    end_of,
    naming,
    postmaster_in,
    remove_abandoned,
    send,
)
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Disruption
from harness.measuring.servers.reaper import outliving
from harness.measuring.servers.wheel import installation

if TYPE_CHECKING:
    from pwd import struct_passwd

PROGRAMS: Final[Mapping[str, str]] = {
    "etcd": "Debian and Ubuntu: apt-get install etcd-server",
    "patroni": 'pip install "patroni[etcd3,psycopg3]"',
}
"""What is looked for on the PATH, and how to install it."""

HOST: Final = "127.0.0.1"
ADMINISTRATOR: Final = "postgres"
REPLICATOR: Final = "replicator"
ETCD_USER: Final = "root"
SCOPE: Final = "harness"
DIRECTORY_PREFIX: Final = "harness-patroni-"

TTL_S: Final = 20
LOOP_WAIT_S: Final = 1
"""Both are the least that Patroni takes: a leader is missed this long after it was last heard of."""
RETRY_TIMEOUT_S: Final = 9
"""The most that those leave: on a slow disk etcd may take seconds, for which no leader has to give up."""

START_TIMEOUT_S: Final = 120.0
FAILOVER_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 60.0
ANSWER_TIMEOUT_S: Final = 5.0
POLL_INTERVAL_S: Final = 0.1

WRITER: Final = "SELECT inet_server_port()"

OWN_SETTINGS: Final = frozenset(
    {
        *("port", "listen_addresses", "data_directory", "unix_socket_directories", "cluster_name", "hot_standby"),
        *("synchronous_standby_names", "primary_conninfo", "primary_slot_name", "wal_level", "hba_file", "ident_file"),
    }
)

BY_ITSELF: Final = (
    "Patroni itself stops and starts PostgreSQL, and may take this for a loss. Use `fail_over`, or the `embedded` "
    "provisioner for this one."
)


@dataclass(frozen=True, slots=True)
class Member:
    """A PostgreSQL and the Patroni that runs it."""

    name: str
    directory: Path
    """Of the whole cluster."""
    port: int
    api_port: int

    @property
    def data(self) -> Path:
        return self.directory / self.name

    @property
    def configuration(self) -> Path:
        return self.directory / f"{self.name}.json"

    @property
    def place(self) -> str:
        return f"{HOST}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """Holds what is decided before any server exists. `account` is whose they are, when root starts them."""

    directory: Path
    installation: Path
    account: "struct_passwd | None"
    etcd_ports: tuple[int, int]
    """Where clients reach it, and where other nodes would."""
    members: tuple[Member, ...]
    settings: Mapping[str, str]
    password: str = field(repr=False)
    """Of everybody: the administrator, who replicates, etcd's user, and who tells Patroni what to do."""

    @classmethod
    def drawn(cls, postgres_major: int, standbys: int, settings: Mapping[str, str]) -> "ClusterPlan":
        directory = Path(tempfile.gettempdir()) / f"{DIRECTORY_PREFIX}{secrets.token_hex(8)}"
        return cls(
            directory=directory,
            installation=installation(postgres_major),
            account=servers_account(),
            etcd_ports=(free_port(HOST), free_port(HOST)),
            members=tuple(
                Member(f"member{number}", directory, free_port(HOST), free_port(HOST))
                for number in range(1, standbys + 2)
            ),
            settings={**DEFAULT_SETTINGS, **settings},
            password=secrets.token_urlsafe(32),
        )

    @property
    def programs(self) -> Path:
        """Where the members find their PostgreSQL."""
        return installation_for(self.account, self.installation, self.directory)

    @property
    def url(self) -> str:
        """Of the member that takes writes, whichever that is."""
        places = ",".join(member.place for member in self.members)
        parameters = plain_parameters().replace("target_session_attrs=any", "target_session_attrs=read-write")
        return self._url(places, parameters)

    def url_of(self, member: Member) -> str:
        return self._url(member.place, plain_parameters())

    def _url(self, places: str, parameters: str) -> str:
        return f"postgresql://{ADMINISTRATOR}:{self.password}@{places}/{ADMINISTRATOR}?{parameters}"


def configuration(plan: ClusterPlan, member: Member) -> dict[str, object]:
    """Says what a member's Patroni is told. A commit waits for one standby, and only that one may be promoted.

    So whoever is promoted has every write that was acknowledged, however far behind it is with others.
    """
    login = {"username": ETCD_USER, "password": plan.password}
    return {
        "scope": SCOPE,
        "name": member.name,
        "restapi": _at(HOST, member.api_port) | {"authentication": login},
        "etcd3": {"host": f"{HOST}:{plan.etcd_ports[0]}", **login},
        "bootstrap": {
            "dcs": {
                "ttl": TTL_S,
                "loop_wait": LOOP_WAIT_S,
                "retry_timeout": RETRY_TIMEOUT_S,
                "maximum_lag_on_failover": 2**40,
                "synchronous_mode": True,
                # The password is random, so that hashing it often would protect nothing.
                "postgresql": {"parameters": {"scram_iterations": "1", "hot_standby_feedback": "on", **plan.settings}},
            },
            "initdb": [{"encoding": "UTF8"}, "no-locale", "no-sync", "no-instructions"],
        },
        "postgresql": _at(HOST, member.port)
        | {
            "data_dir": str(member.data),
            "bin_dir": str(plan.programs / "bin"),
            "pgpass": str(plan.directory / f"{member.name}.pgpass"),
            "authentication": {
                "superuser": {"username": ADMINISTRATOR, "password": plan.password},
                "replication": {"username": REPLICATOR, "password": plan.password},
            },
            "parameters": {"unix_socket_directories": ""},
            "pg_hba": [f"host {databases} all {HOST}/32 scram-sha-256" for databases in ("all", "replication")],
            "basebackup": [{"checkpoint": "fast"}, "no-sync", "no-manifest"],
        },
        "watchdog": {"mode": "off"},
    }


def _at(host: str, port: int) -> dict[str, object]:
    return dict.fromkeys(("listen", "connect_address"), f"{host}:{port}")


def etcd_command(program: str, plan: ClusterPlan) -> tuple[str, ...]:
    clients, nodes = (f"http://{HOST}:{port}" for port in plan.etcd_ports)
    options = {
        "name": SCOPE,
        "data-dir": str(plan.directory / "etcd"),
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": nodes,
        "initial-advertise-peer-urls": nodes,
        "initial-cluster": f"{SCOPE}={nodes}",
        "bcrypt-cost": "4",
    }
    return (program, *(f"--{name}={value}" for name, value in options.items()))


def is_complete(cluster: Mapping[str, Any], members: Sequence[Member]) -> bool:
    """Tells whether all members run, and one of them may take the leader's place, by what Patroni says of them."""
    at_work = [each["role"] for each in cluster["members"] if each["state"] in {"running", "streaming"}]
    wanted = {"leader", "sync_standby"} if len(members) > 1 else {"leader"}
    return len(at_work) == len(members) and wanted <= set(at_work)


@dataclass(frozen=True, slots=True)
class PatroniProvisioner:
    """Starts a cluster of its own on free ports. Any number may run at once."""

    postgres_major: int = 18
    standbys: int = 0
    """How many members follow the one that takes writes."""

    @classmethod
    def of_settings(cls, settings: DatabaseSettings) -> "PatroniProvisioner":
        return cls(settings.postgres_major, settings.standbys)

    @property
    def name(self) -> str:
        return "patroni"

    async def check(self) -> None:
        found_programs()

    @asynccontextmanager
    async def start(self, settings: Mapping[str, str]) -> AsyncGenerator[PostgresServer]:
        """Settings that are not given are those of `DEFAULT_SETTINGS`."""
        refuse_own_settings(settings, OWN_SETTINGS, self.name)
        programs = found_programs()
        cluster = _Cluster(ClusterPlan.drawn(self.postgres_major, self.standbys, settings), programs)
        try:
            async with outliving(f"{__name__}:removed_after", directory=str(cluster.plan.directory)):
                await cluster.begin()
                yield await cluster.opened(self.name)
        finally:
            for process in cluster.started:
                process.kill()  # What has been ended already stays so.
                process.wait()

    async def clean(self) -> tuple[str, ...]:
        return await asyncio.to_thread(remove_abandoned, DIRECTORY_PREFIX)


def found_programs() -> Mapping[str, str]:
    """Where each lies. Raises `UsageError`."""
    found = {name: shutil.which(name) for name in PROGRAMS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        how = "; ".join(f"`{name}` ({PROGRAMS[name]})" for name in missing)
        raise UsageError(
            f"The provisioner patroni needs programs that are not on the PATH: {how}. Install what is missing, or use "
            "the `embedded` provisioner, whose failover needs neither."
        )
    return {name: path for name, path in found.items() if path is not None}


@contextmanager
def removed_after(directory: str) -> Generator[None]:
    """Ends all that runs in the directory, and removes it. Entered in the child that outlives the run."""
    path = Path(directory)
    try:
        yield
    finally:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        # More than once: a Patroni may have started a server while the others were listed.
        while (left := naming(path)) or path.exists():
            if time.monotonic() > deadline:
                raise ProvisioningError(
                    f"What the run has started in {path} did not end. End {[each.pid for each in left]}, and remove it."
                )
            for process in left:
                _kill(process)
            shutil.rmtree(path, ignore_errors=True)


@dataclass(slots=True)
class _Cluster:
    """The processes of a run. `lost` is a member that is gone; another comes in its place before a database is made."""

    plan: ClusterPlan
    programs: Mapping[str, str]
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list["subprocess.Popen[bytes]"])
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])
    leader: Member | None = None
    lost: Member | None = None

    async def begin(self) -> None:
        """The first member leads, whose address comes first. Returns when Patroni says that the cluster is complete."""
        plan = self.plan
        first, *others = plan.members
        make_directory(plan.directory, plan.account)
        copy_installation(plan.installation, plan.programs, plan.account)
        self._run("etcd", *etcd_command(self.programs["etcd"], plan))
        await self._until("etcd", self._etcd_guarded, START_TIMEOUT_S)
        self._run_member(first)
        await self._until(first.name, self._led, START_TIMEOUT_S)
        for member in others:
            self._run_member(member)
        await self._complete()

    async def opened(self, provisioner: str) -> PostgresServer:
        plan = self.plan
        # Of what Patroni says of itself, the version alone is the same in every run.
        said = await asyncio.to_thread(_asked, plan.members[0].api_port, "/patroni")
        runtime = {"members": str(len(plan.members)), "patroni": str(said["patroni"]["version"])}
        server = await open_server(provisioner, plan.url, MappingProxyType(runtime), read_log=self._log)
        cannot: dict[Disruption, str] = dict.fromkeys(("restart", "kill", "pause", "fill_disk"), BY_ITSELF)
        disruptions: dict[Disruption, Callable[[], AbstractAsyncContextManager[None]]] = {}
        if len(plan.members) > 1:
            disruptions["fail_over"] = self._failed_over
        else:
            cannot["fail_over"] = NO_STANDBY
        followers = [member for member in plan.members if member != self.leader]
        return replace(
            server,
            disruptions=disruptions,
            cannot=cannot,
            standbys=tuple(replace(server, admin_url=plan.url_of(member)) for member in followers),
            making=self._making,
            read_cpu_s=self._cpu_s,
        )

    @asynccontextmanager
    async def _failed_over(self) -> AsyncGenerator[None]:
        """Begins when another member takes writes, which it does when its Patroni promotes it."""
        await self._completed()
        assert self.leader is not None
        self.lost = self.leader
        self._lose(self.lost)
        self.leader = None
        await self._until(self._others()[0].name, self._led, FAILOVER_TIMEOUT_S)
        yield

    @asynccontextmanager
    async def _making(self) -> AsyncGenerator[None]:
        """Who looks for a database at every address may come to a standby's first, and would not find it there."""
        await self._completed()
        yield
        await caught_up(self.plan.url, *map(self.plan.url_of, self._others()))

    async def _completed(self) -> None:
        """Has another member come in the place of the lost one, if one was lost, with a copy of the leader's data."""
        if self.lost is not None:
            await asyncio.to_thread(shutil.rmtree, self.lost.data)
            self._run_member(self.lost)
            self.lost = None
        await self._complete()

    async def _complete(self) -> None:
        first = self._others()[0]
        await self._until(first.name, self._is_complete, START_TIMEOUT_S)
        await self._until(first.name, self._led, START_TIMEOUT_S)

    def _others(self) -> list[Member]:
        """All but the lost one."""
        return [member for member in self.plan.members if member != self.lost]

    def _run_member(self, member: Member) -> None:
        text = json.dumps(configuration(self.plan, member), indent=1)
        descriptor = os.open(member.configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if self.plan.account is not None:
            os.chown(member.configuration, self.plan.account.pw_uid, self.plan.account.pw_gid)
        self._run(member.name, self.programs["patroni"], str(member.configuration))

    def _run(self, name: str, *command: str) -> None:
        """In a session of its own, Ctrl-C does not reach it."""
        account = self.plan.account
        try:
            with self._log_of(name).open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 -- without a shell
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    # No variable of the user's: those of Patroni and of etcd would change what is written here.
                    env={"PATH": f"{os.defpath}:{os.environ.get('PATH', os.defpath)}", "LC_ALL": "C", "TZ": "UTC"},
                    start_new_session=True,
                    user=account and account.pw_uid,
                    group=account and account.pw_gid,
                    extra_groups=account and (),
                )
        except PermissionError as error:
            raise ProvisioningError(
                f"The user `{SYSTEM_USER}`, who runs PostgreSQL for root, cannot run {command[0]} ({error}). Install "
                "it where every user may read, or run this as another user."
            ) from error
        self.started.append(process)
        self.running[name] = process

    async def _until(self, name: str, condition: Callable[[], Any], timeout_s: float) -> None:
        """Returns when the condition holds, which it may fail to say as long as nobody answers."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.running[name].poll() is None:
                    with contextlib.suppress(OSError, HTTPException, ValueError, ProvisioningError):
                        if await condition():
                            return
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            raise ProvisioningError(
                f"Patroni's cluster was not ready within {timeout_s:g} s. Try again when the machine is less busy, or "
                f"correct what the log of {name} names. {quoted(self._end_of_log(name))}"
            ) from None
        raise ProvisioningError(
            f"{name} of Patroni's cluster has ended by itself. Correct what its log names. "
            f"{quoted(self._end_of_log(name))}"
        )

    async def _etcd_guarded(self) -> bool:
        """Lets nobody in but who has the password: what stands in etcd, PostgreSQL's own settings, is obeyed."""
        steps = {
            "user/add": {"name": ETCD_USER, "password": self.plan.password},
            "user/grant": {"user": ETCD_USER, "role": ETCD_USER},
            "enable": {},
        }
        for step, body in steps.items():
            await asyncio.to_thread(_asked, self.plan.etcd_ports[0], f"/v3/auth/{step}", body)
        return True

    async def _is_complete(self) -> bool:
        cluster = await asyncio.to_thread(_asked, self._others()[0].api_port, "/cluster")
        return is_complete(cluster, self.plan.members)

    async def _led(self) -> bool:
        """Whether a member takes writes, which is the leader then."""
        async with connected(self.plan.url) as connection:
            port = await connection.fetchval(WRITER)
        (self.leader,) = (member for member in self.plan.members if member.port == port)
        return True

    def _lose(self, member: Member) -> None:
        """Ends its Patroni and its PostgreSQL as a machine does that is lost."""
        patroni = self.running.pop(member.name)
        _kill(psutil.Process(patroni.pid))
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            _kill(postmaster_in(member.data))
        patroni.wait()

    def _cpu_s(self) -> float | None:
        """Of the PostgreSQL that takes writes now."""
        try:
            return None if self.leader is None else used_s(postmaster_in(self.leader.data))
        except (OSError, ValueError, psutil.Error):
            return None

    def _log(self) -> str:
        """The end of each member's, its Patroni's and its PostgreSQL's in one."""
        return "".join(f"{name}:\n{self._end_of_log(name)}" for name in self.running)

    def _end_of_log(self, name: str) -> str:
        with self._log_of(name).open("rb") as log:
            return end_of(log)

    def _log_of(self, name: str) -> Path:
        return self.plan.directory / f"{name}.log"


def _kill(root: psutil.Process) -> None:
    """And all that it has started: it is held first, so that it starts none while they are listed."""
    found = [root]
    with contextlib.suppress(psutil.NoSuchProcess):
        root.suspend()
        found += root.children(recursive=True)
    for process in found:
        send(process, signal.SIGKILL)


def _asked(port: int, path: str, body: object = None) -> Any:  # noqa: ANN401 -- JSON
    """What etcd or Patroni answers. Raises `OSError`, `HTTPException` or `ValueError` where it does not, or refuses."""
    connection = HTTPConnection(HOST, port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise ValueError(f"{path}: {answer.status}")
    return json.loads(said)
