"""The failures that anima expects. Each message says what happened, where, and what to do next."""


class AnimaError(Exception):
    """An expected failure; its message is written for the person who can end it."""


class InvalidInput(AnimaError):  # noqa: N818 -- the name states the fact, as the contract's VALIDATION_ERROR does
    """A request, setting or file that the contract does not allow."""


class EmbeddingUnavailable(AnimaError):  # noqa: N818
    """No provider answered; the same request may succeed later."""


class InvalidEmbedding(AnimaError):  # noqa: N818
    """A provider answered with something that is not a usable vector. Never retried, never stored, never cached."""


class DatabaseUnavailable(AnimaError):  # noqa: N818
    """PostgreSQL cannot be reached or did not answer in time."""


class MigrationFailed(AnimaError):  # noqa: N818
    """The schema could not be brought to the version asked for."""
