"""A worker process of this machine, whose words are kept in a file until they have been read.

Not for what it says: who reads it knows.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Final

from harness.children import environment, modules_of_ours, python
from harness.measuring.hosts.protocol import Block, Interpreter, Moments
from harness.measuring.servers.lifeline import hold

POLL_S: Final = 0.01
GATHERED_S: Final = 0.25
"""So long samples are waited for, so that a block is worth its way."""

BLOCK_BYTES: Final = 2**20
ENOUGH_BYTES: Final = 2**16
LINE_BYTES_MAX: Final = 2**24
SAMPLE: Final = b'{"kind":"sample"'
COMPLAINT_BYTES: Final = 2_000
ENDING_S_MAX: Final = 10.0


def this_interpreter() -> Interpreter:
    """Finds modules where this process does."""
    return Interpreter(sys.executable, environment(**modules_of_ours()))


def moments() -> Moments:
    return Moments(time.perf_counter(), time.time())


class Relay:
    """Its standard output is the file: each line is one write, which waits for no reader."""

    def __init__(self, program: str, variables: Mapping[str, str]) -> None:
        self._words = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- closed with the worker.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(  # noqa: S603 -- our own module
            python("-m", "harness.worker", program=program),
            stdin=subprocess.PIPE,
            stdout=self._words,
            stderr=self._complaints,
            env=dict(variables),
            start_new_session=True,  # Ctrl-C does not reach it.
        )
        assert self.process.stdin is not None
        self._input = self.process.stdin
        hold(self._input)

    def tell(self, line: str) -> None:
        """One that has ended hears nothing: what it has written says why."""
        try:
            self._input.write(line.encode() + b"\n")
            self._input.flush()
        except (BrokenPipeError, ValueError):
            return

    async def read(self, position: int, wait_s: float) -> Block:
        """A reader gets what it waits for at once, samples when some have gathered, and nothing after `wait_s`."""
        waited_s = 0.0
        while True:
            code = self.process.poll()
            lines = self._lines_from(position)
            patience_s = wait_s if not lines else GATHERED_S if _ends_in_sample(lines) else 0.0
            if waited_s >= patience_s or len(lines) >= ENOUGH_BYTES:
                return Block(lines)
            if code is not None:
                return Block(lines) if lines else Block(b"", code, self._complaint())
            await asyncio.sleep(POLL_S)
            waited_s += POLL_S

    async def end(self) -> None:
        """Returns when the worker is gone and its files with it."""
        self.let_go()
        waited_s = 0.0
        while self.process.poll() is None:
            if waited_s >= ENDING_S_MAX:
                self.process.kill()
            await asyncio.sleep(POLL_S)
            waited_s += POLL_S
        self._words.close()
        self._complaints.close()

    def let_go(self) -> None:
        """The worker ends when it finds itself alone."""
        try:
            self._input.close()
        except BrokenPipeError:
            return

    def _lines_from(self, position: int) -> bytes:
        words = self._words.fileno()
        read = os.pread(words, BLOCK_BYTES, position)
        if len(read) == BLOCK_BYTES and b"\n" not in read:
            read = os.pread(words, LINE_BYTES_MAX, position)
        return read[: read.rfind(b"\n") + 1]

    def _complaint(self) -> str:
        self._complaints.seek(0)
        return self._complaints.read()[-COMPLAINT_BYTES:].decode(errors="replace").strip()


def _ends_in_sample(lines: bytes) -> bool:
    return lines.startswith(SAMPLE, lines.rfind(b"\n", 0, -1) + 1)
