"""A process that stood still, a machine that slept and a clock that was set are told apart."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from harness.measuring.heartbeat import INTERVAL_S, ComparedClocks, Heartbeat

BEATING = """
import json, sys
from harness.measuring.heartbeat import Heartbeat
heartbeat = Heartbeat()
with heartbeat.watched():
    print("beating", flush=True)
    sys.stdin.readline()
print(json.dumps(heartbeat.stopped_s), flush=True)
"""


@dataclass
class SetClocks:
    """Stand still unless they are moved."""

    now: float = 0.0
    boot: float = 0.0
    wall: float = 0.0

    @property
    def clocks(self) -> ComparedClocks:
        return ComparedClocks(lambda: self.now, lambda: self.boot, lambda: self.wall)


@pytest.mark.parametrize(
    ("moved", "asleep_s", "step_s"),
    [
        ({"now": 0.2, "boot": 0.2, "wall": 0.2}, 0.0, 0.0),
        ({"now": 0.2, "boot": 3.2, "wall": 3.2}, 3.0, 0.0),
        ({"now": 0.2, "boot": 0.2, "wall": 3600.2}, 0.0, 3600.0),
        ({"now": 0.2, "boot": 0.2, "wall": -3599.8}, 0.0, -3600.0),
    ],
    ids=["neither", "a machine that slept", "a clock set ahead", "a clock set back"],
)
def test_a_sleep_is_no_step_of_the_clock_and_a_step_is_no_sleep(
    moved: dict[str, float], asleep_s: float, step_s: float
) -> None:
    clocks = SetClocks()
    heartbeat = Heartbeat(clocks.clocks)
    for _ in range(2):
        with heartbeat.watched():
            for name, seconds in moved.items():
                setattr(clocks, name, getattr(clocks, name) + seconds)
    assert heartbeat.counters == {
        "generator_stopped_s": 0.0,
        "machine_asleep_s": pytest.approx(2 * asleep_s),
        "wall_clock_step_s": pytest.approx(2 * step_s),
    }


def test_a_process_that_was_stopped_knows_for_how_long() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BEATING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "beating\n"
        process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        time.sleep(1.5)
        stopped_s = time.monotonic() - begun
        process.send_signal(signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert float(process.stdout.readline()) >= stopped_s - INTERVAL_S
