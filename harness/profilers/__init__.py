"""What the profiling pass can observe: name to profiler."""

from collections.abc import Mapping
from typing import Final

from harness.profilers.protocol import Profiler
from harness.profilers.python_stacks import PythonStacks
from harness.profilers.server_locks import ServerLocks
from harness.profilers.server_statements import ServerStatements
from harness.profilers.server_waits import ServerWaits

# The profiler of stacks comes last: it follows every task and connection that begins while it observes.
PROFILERS: Final[Mapping[str, Profiler]] = {
    "server_statements": ServerStatements(),
    "server_waits": ServerWaits(),
    "server_locks": ServerLocks(),
    "python_stacks": PythonStacks(),
}
