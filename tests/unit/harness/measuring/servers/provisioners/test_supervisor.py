"""The supervisor of an embedded server, over programs that stand for PostgreSQL's."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.measuring.servers.provisioners.embedded import SUPERVISOR
from tests.waiting import until

INITDB = '#!/bin/sh\nmkdir -p "$(dirname "$0")/../../supervised/data"\n'
SERVE = """
import os, signal, sys
signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))
with open(sys.argv[1], "a") as starts:
    print(os.getpid(), file=starts)
while True:
    signal.pause()
"""
POSTGRES = f"#!/bin/sh\nexec '{sys.executable}' -ISc '{SERVE}' \"$(dirname \"$0\")/../starts\"\n"
SLOW_KILL = r"""
kill() { command kill "$@"; status=$?; case $2 in KILL) command sleep 0.3 ;; esac; return $status; }
"""
"""The server is gone long before who has sent it the signal goes on, as on a busy machine."""


@pytest.mark.parametrize("circumstances", ["", SLOW_KILL], ids=["at once", "slowly"])
async def test_a_server_that_was_told_to_end_is_started_again(tmp_path: Path, circumstances: str) -> None:
    programs, starts = tmp_path / "installation" / "bin", tmp_path / "installation" / "starts"
    programs.mkdir(parents=True)
    for name, text in {"initdb": INITDB, "postgres": POSTGRES}.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    directory = tmp_path / "supervised"
    command = ["/bin/sh", "-c", circumstances + SUPERVISOR, "supervisor", str(directory), str(programs.parent), ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as supervisor:  # noqa: ASYNC220 -- no I/O
        assert supervisor.stdin is not None

        async def started(times: int) -> bool:
            assert supervisor.poll() is None, "it has given up"
            return starts.exists() and len(starts.read_text(encoding="utf-8").split()) == times

        supervisor.stdin.write(b"password\n")
        await until(lambda: started(1))

        async def is_over() -> bool:
            return not psutil.pid_exists(int(starts.read_text(encoding="utf-8")))

        supervisor.stdin.write(b"KILL\n")
        await until(is_over)
        supervisor.stdin.write(b"start\n")
        await until(lambda: started(2))
        supervisor.stdin.close()
        assert await until_ended(supervisor) == os.EX_OK
    assert not directory.exists()


async def until_ended(process: "subprocess.Popen[bytes]") -> int:
    async def has_ended() -> bool:
        return process.poll() is not None

    await until(has_ended)
    assert process.returncode is not None
    return process.returncode
