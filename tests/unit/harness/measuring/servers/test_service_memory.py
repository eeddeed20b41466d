"""The memory of a service is read while a phase goes on, and stays as it was once its processes are gone."""

import subprocess
import sys

import psutil

from harness.measuring.servers.service import ServiceProcesses

PROGRAM = """
import subprocess, sys
child = subprocess.Popen(["sleep", "60"])
print("begun", flush=True)
sys.stdin.read()
child.kill()
"""


def test_all_its_processes_are_added_up_until_they_end() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        processes = ServiceProcesses(None)
        processes._root = psutil.Process(process.pid)
        read = processes.memory_levels()
        (child,) = processes._root.children()
        at_first = read()["service_memory_bytes"]
        assert at_first > processes._root.memory_info().rss / 2
        assert at_first > child.memory_info().rss
        process.stdin.close()
        process.wait()
        assert read()["service_memory_bytes"] > 0


def test_without_a_service_nothing_is_read() -> None:
    assert ServiceProcesses(None).memory_levels()() == {}
