"""What the profiling pass can observe: name to profiler."""

from collections.abc import Mapping
from typing import Final

from harness.measuring.profilers.protocol import Profiler
from harness.measuring.profilers.python_stacks import PythonStacks
from harness.measuring.profilers.server_locks import ServerLocks
from harness.measuring.profilers.server_statements import ServerStatements
from harness.measuring.profilers.server_waits import ServerWaits

# The profiler of stacks comes last: it follows every task and connection that begins while it observes.
PROFILERS: Final[Mapping[str, Profiler]] = {
    "server_statements": ServerStatements(),
    "server_waits": ServerWaits(),
    "server_locks": ServerLocks(),
    "python_stacks": PythonStacks(),
}
