"""Says what the server's sessions compute, function by function: perf's samples of their processes as folded stacks.

Not for what they wait for, which takes no processor time (`server_waits.py`), nor for parallel workers and sessions
that begin after perf does. It follows processes of this machine alone, and says why where it follows none.
"""

import asyncio
import os
import re
import select
import shutil
import signal
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from harness.frames import SERVER, library_frame
from harness.measuring.connections import connected
from harness.measuring.profilers.protocol import ProfiledOperation

SESSIONS: Final = "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"

PROGRAM: Final = "perf"
EVENT: Final = "cpu-clock"
"""The kernel's own clock: virtual machines have no counter of cycles."""
FREQUENCY_HZ: Final = 499
READY_TIMEOUT_S: Final = 10.0
PARANOID: Final = Path("/proc/sys/kernel/perf_event_paranoid")
REFUSED: Final = re.compile("perf_event_paranoid|permission|not permitted", re.IGNORECASE)

HEADER: Final = re.compile(rf"\S.*\s(?P<period>\d+)\s+{EVENT}\S*:\s*$")
FRAME: Final = re.compile(r"\s+[0-9a-f]+\s+(?P<symbol>.+?)(?:\+0x[0-9a-f]+)?\s+\((?P<file>.*)\)\s*$")
BEGINS_SESSION: Final = "PostgresMain"
"""What called it is the same for every session."""


class Unobservable(Exception):
    """Says why nothing of the server is seen, and what to do."""


class ServerStacks:
    """Leaves folded stacks in microseconds for other tools, beside those of Python."""

    @asynccontextmanager
    async def observe(self, subject: ProfiledOperation) -> AsyncGenerator[dict[str, Any]]:
        observed: dict[str, Any] = {}
        recording: ServerRecording | None = None
        try:
            recording = await ServerRecording.begun(await _processes(subject), subject.file)
        except Unobservable as reason:
            observed["server_unobserved"] = str(reason)
        try:
            yield observed
        finally:
            script = "" if recording is None else await recording.ended()
        if recording is not None:
            stacks = fold(script.splitlines())
            observed |= {"server_stacks": stacks, "server_unobserved": "" if stacks else _without_samples()}
            _write(stacks, subject.file)


def fold(script: Iterable[str]) -> dict[str, float]:
    """Seconds per stack of what `perf script` prints: per sample a line with its period, then its frames, inmost first.

    A sample without a frame, as of a process that has just ended, is none.
    """
    folded: defaultdict[str, float] = defaultdict(float)
    period_ns, frames = 0, list[str]()
    for line in (*script, ""):
        if header := HEADER.match(line):
            period_ns, frames = int(header["period"]), []
        elif frame := FRAME.match(line):
            frames.append(_named(frame["symbol"], Path(frame["file"]).name))
        elif frames:
            folded[";".join((SERVER, *_of_session(frames[::-1])))] += period_ns / 1e9
            frames = []
    return dict(folded)


def _named(symbol: str, file: str) -> str:
    """A function by its library: `[unknown]` where the file keeps no name of it."""
    library = "kernel" if file.startswith("[kernel") else file.partition(".so")[0].strip("[]") or "code"
    return library_frame(library, symbol).replace(";", ",")


def _of_session(frames: Sequence[str]) -> Sequence[str]:
    """From the function on that every session begins with, as far as the stack goes back to it."""
    begin = next((number for number, frame in enumerate(frames) if frame.endswith(f": {BEGINS_SESSION}")), -1)
    return frames[begin + 1 :] or frames


async def _processes(subject: ProfiledOperation) -> Sequence[int]:
    """Of sessions with the variant's database. Raises `Unobservable`."""
    if shutil.which(PROGRAM) is None:
        raise Unobservable(
            "the program perf is not installed. On Debian and Ubuntu it is in `linux-perf` or `linux-tools-generic`."
        )
    try:
        async with connected(subject.admin_url) as connection:
            numbers = [row["pid"] for row in await connection.fetch(SESSIONS, subject.database)]
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unobservable(f"the server did not name its processes ({error}).") from error
    found = [process for process in numbers if _serves(process, subject.database)]
    if not found:
        raise Unobservable(
            "no session of the variant's database is a process of this machine that can be seen. Profile where the "
            "server runs, such as with the `embedded` provisioner."
        )
    return found


def _serves(process: int, database: str) -> bool:
    """Whether the process of this number here is that session, and not another machine's or container's."""
    try:
        title = " ".join(psutil.Process(process).cmdline())
    except psutil.Error:
        return False
    return title.startswith("postgres") and database in title


class ServerRecording:
    """A perf that follows processes until it is told to end, or the pipe `tell` is closed, as when this process dies.

    So the pipe stays open as long as perf is to record.
    """

    def __init__(self, process: asyncio.subprocess.Process, tell: int, file: Path) -> None:
        self._process = process
        self._tell = tell
        self._file = file

    @classmethod
    async def begun(cls, processes: Sequence[int], subject: Path) -> "ServerRecording":
        """Returns when perf says that it records. Raises `Unobservable`."""
        file = subject.with_name(f"{subject.name}.perf.data")
        (asked, tell), (answered, acknowledge) = os.pipe(), os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                PROGRAM,
                *("record", "--quiet", "--no-buildid", "--no-bpf-event", "--output", str(file)),
                *("--event", EVENT, "--freq", str(FREQUENCY_HZ), "--call-graph", "dwarf"),
                *("--pid", ",".join(map(str, processes))),
                *("--delay", "-1", "--control", f"fd:{asked},{acknowledge}"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(asked, acknowledge),
                start_new_session=True,
            )
        except OSError as error:
            os.close(tell)
            os.close(answered)
            raise Unobservable(f"perf cannot be started ({error.strerror}).") from error
        finally:
            os.close(asked)
            os.close(acknowledge)
        recording = cls(process, tell, file)
        if not await asyncio.to_thread(_records, tell, answered):
            raise Unobservable(_refusal(await recording.stopped()))
        return recording

    async def stopped(self) -> str:
        """Returns what perf said while it recorded."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        _, said = await self._process.communicate()
        os.close(self._tell)
        return said.decode(errors="replace")

    async def ended(self) -> str:
        """Returns what perf prints of what it has recorded; empty where it recorded nothing that it can read."""
        await self.stopped()
        printing = await asyncio.create_subprocess_exec(
            # Functions that are inlined are looked up one by one, which takes ten times as long as the rest.
            *(PROGRAM, "script", "--no-inline", "--input", str(self._file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        script, _ = await printing.communicate()
        self._file.unlink(missing_ok=True)
        return script.decode(errors="replace")


def _records(tell: int, answered: int) -> bool:
    """Whether perf acknowledges that it begins, before it ends or the time is over; closes `answered`."""
    try:
        os.write(tell, b"enable\n")
        ready, _, _ = select.select([answered], [], [], READY_TIMEOUT_S)
        return bool(ready and os.read(answered, 16))
    except BrokenPipeError:
        return False
    finally:
        os.close(answered)


def _refusal(said: str) -> str:
    """Why perf did not begin, in a sentence that says what to change."""
    if REFUSED.search(said):
        return (
            f"perf may not look at the server's processes (kernel.perf_event_paranoid is {_paranoid()}). Run as root "
            "or as the server's user, or set it lower: `sysctl kernel.perf_event_paranoid=1`."
        )
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    return f"perf did not begin: {last.rstrip('.')}. `perf record --event {EVENT} --pid PID` says more."


def _without_samples() -> str:
    return (
        "perf took no sample of the server: it computed too little meanwhile, or this machine's kernel gives none "
        f"(kernel.perf_event_paranoid is {_paranoid()}). Raise `requests` in [profile]."
    )


def _paranoid() -> str:
    try:
        return PARANOID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _write(stacks: Mapping[str, float], file: Path) -> None:
    folded = "".join(f"{stack} {round(time_s * 1_000_000)}\n" for stack, time_s in sorted(stacks.items()))
    file.with_name(f"{file.name}.server.folded").write_text(folded, encoding="utf-8")
