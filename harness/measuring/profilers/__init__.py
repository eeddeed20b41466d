"""Says what the profiling pass can observe: name to profiler."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from harness.measuring.profilers.protocol import ProfiledOperation, Profiler
from harness.measuring.profilers.server_locks import ServerLocks
from harness.measuring.profilers.server_stacks import ServerStacks
from harness.measuring.profilers.server_statements import ExecutedStatements
from harness.measuring.profilers.server_waits import ServerWaits


class StacksWhenAsked:
    """Python's stacks, by a sampler that is imported when it is asked for, since it is an extra."""

    def observe(self, subject: ProfiledOperation) -> AbstractAsyncContextManager[dict[str, Any]]:
        from harness.measuring.profilers.python_stacks import PythonStacks  # noqa: PLC0415 -- see above

        return PythonStacks().observe(subject)


# The profiler of stacks comes last: it follows every task and connection that begins while it observes.
PROFILERS: Final[Mapping[str, Profiler]] = {
    "server_statements": ExecutedStatements(),
    "server_waits": ServerWaits(),
    "server_locks": ServerLocks(),
    "server_stacks": ServerStacks(),
    "python_stacks": StacksWhenAsked(),
}
