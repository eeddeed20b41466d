"""The failures that the harness expects. Each message says what happened, where, and what to do next."""


class HarnessError(Exception):
    """An expected failure; its message is written for the person who can end it."""


class UsageError(HarnessError):
    """A command line, scenario, corpus or budget that cannot be followed. Exit code 2."""


class ProvisioningError(HarnessError):
    """A server that the run needs did not start, or lacks something. Exit code 2."""


class ResumeRefused(UsageError):
    """A run that cannot go on as it began, since something that it was measured with is not the same. It is untouched.

    Exit code 2.
    """


class Unexpected(HarnessError):
    """A failure that nobody foresaw; its `reason` is what a record keeps of it. Exit code 4."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Aborted(HarnessError):
    """A run that one of its budgets ended, since it has failed already."""

    def __init__(self, budget: str) -> None:
        super().__init__(f"ended early by {budget}, which had failed for sure")
        self.budget = budget


class TargetError(HarnessError):
    """An operation on the target failed; `kind` groups failures of one cause in the record."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
