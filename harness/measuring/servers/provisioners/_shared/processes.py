"""The processes of a server that this machine runs, and the directory that their command lines name."""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import IO, Final

import psutil

LOG_BYTES_READ: Final = 16_384


def postmaster_in(data: Path) -> psutil.Process:
    """Raises `OSError`, `ValueError` or `psutil.NoSuchProcess` where none runs."""
    first, _, _ = (data / "postmaster.pid").read_text(encoding="utf-8").partition("\n")
    return psutil.Process(int(first))


def send(process: psutil.Process, sent: signal.Signals) -> None:
    """One that has ended meanwhile needs none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(sent)


def naming(directory: Path) -> list[psutil.Process]:
    """Those whose command line has the directory in it."""
    processes = psutil.process_iter(["cmdline"])
    return [process for process in processes if str(directory) in " ".join(process.info["cmdline"] or ())]


def remove_abandoned(prefix: str) -> tuple[str, ...]:
    """Directories that no process names; returns what was removed."""
    # All are listed before any process: a server that starts meanwhile is not among them.
    directories = list(Path(tempfile.gettempdir()).glob(f"{prefix}*"))
    abandoned = [path for path in directories if not naming(path)]
    for path in abandoned:
        shutil.rmtree(path, ignore_errors=True)
    return tuple(f"directory {path}" for path in abandoned if not path.exists())


def end_of(log: IO[bytes]) -> str:
    """Read without moving the position at which the server writes."""
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), LOG_BYTES_READ, max(0, size - LOG_BYTES_READ)).decode(errors="replace")
