"""`harness` as a process of its own, forked from one that has imported already what takes seconds to import.

A start from nothing costs more processor time than most measurements of the tests, and is shown by those that start
`harness` themselves. `python -m tests.acceptance.warm` is the process that is forked.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import IO, Final

from harness.cli import main
from harness.judging import analysis

TIMEOUT_S: Final = 280
IMPORTED: Final = (
    "harness.commands.compare",
    "harness.commands.gate",
    "harness.commands.report",
    "harness.commands.run",
    "harness.measuring.targets.anima.target",
    "harness.measuring.targets.null",
    "harness.showing.renderers.html.figures",
    "harness.showing.renderers.terminal",
)
READ_AT_START: Final = ("PYTHON", "LC_", "LANG")
"""What begins so is read by Python when it starts, and never again."""

ONE_AT_A_TIME: Final = Lock()


def run(arguments: Sequence[str], directory: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.cli", *arguments]
    if _read_at_start(environment) != _read_at_start(os.environ):
        return subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    with TemporaryDirectory() as written:
        streams = [Path(written, name) for name in ("stdout", "stderr")]
        asked = {"arguments": arguments, "directory": str(directory), "environment": dict(environment)}
        code = _answer(json.dumps(asked | {"streams": [str(path) for path in streams]}))
        output, errors = (path.read_text(encoding="utf-8") for path in streams)
    return subprocess.CompletedProcess(command, code, output, errors)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


def _answer(asked: str) -> int:
    process = _forked()
    assert process.stdin is not None
    assert process.stdout is not None
    with ONE_AT_A_TIME:
        try:
            process.stdin.write(f"{asked}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BaseException:  # A test that took too long: the answer to it would be taken for that to the next.
            os.killpg(process.pid, signal.SIGKILL)
            _forked.cache_clear()
            raise
    assert answer, "the process that is forked has ended"
    return int(answer)


@cache
def _forked() -> "subprocess.Popen[str]":
    """Started when it is first needed; it ends when what asks it has closed the pipe, or has ended."""
    command = [sys.executable, "-m", __name__]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    atexit.register(process.communicate)
    return process


def _serve(asked: IO[str], answers: IO[str]) -> None:
    for module in IMPORTED:
        import_module(module)
    analysis.ready()
    gc.freeze()
    for line in asked:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _become(arguments: list[str], directory: str, environment: dict[str, str], streams: list[str]) -> None:
    """Ends this process as `python -m harness.cli` would end."""
    signal.alarm(TIMEOUT_S)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    opened = [os.open(os.devnull, os.O_RDONLY), *(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600) for path in streams)]
    for standard, descriptor in enumerate(opened):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.argv = ["harness", *arguments]
    sys.path[0] = directory
    main()


if __name__ == "__main__":
    _serve(sys.stdin, sys.stdout)
