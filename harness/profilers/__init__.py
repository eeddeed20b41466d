"""What the profiling pass can observe: name to profiler."""

from collections.abc import Mapping
from typing import Final

from harness.profilers.protocol import Profiler
from harness.profilers.python_stacks import PythonStacks
from harness.profilers.server_waits import ServerWaits

PROFILERS: Final[Mapping[str, Profiler]] = {"python_stacks": PythonStacks(), "server_waits": ServerWaits()}
