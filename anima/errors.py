"""The failures that anima expects. Each message says what happened, where, and what to do next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputIssue:
    """Says what is wrong with a part of an input.

    `path` joins names and positions with dots; the whole is an empty path.
    """

    path: str
    message: str


class AnimaError(Exception):
    """An expected failure; its message is written for the person who can end it."""


def extra(name: str) -> str:
    """Says how to install an extra. The package is on no index, so pip needs the address of its repository."""
    return f"pip install 'anima-harness[{name}] @ git+https://github.com/OWNER/anima-harness' (OWNER as you know it)"


class InvalidInput(AnimaError):
    """A request, setting or file that the contract does not allow; `issues` are those of a request, part by part."""

    def __init__(self, message: str, issues: tuple[InputIssue, ...] = ()) -> None:
        super().__init__(message)
        self.issues = issues


class EmbeddingUnavailable(AnimaError):
    """No provider answered; the same request may succeed later, and not within `retry_after_s` where that is known."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EmbeddingMisconfigured(EmbeddingUnavailable):
    """The provider turns the service away whatever the text, for a wrong key or a missing model: waiting is no help."""


class EmbeddingRefused(AnimaError):
    """The provider embeds other texts, but none of these, or not all: asking again is no help, another text may be."""


class InvalidEmbedding(AnimaError):
    """A provider answered with something that is not a usable vector. Never retried, never stored, never cached."""


class DatabaseUnavailable(AnimaError):
    """PostgreSQL cannot be reached or did not answer in time."""


class DatabaseBusy(DatabaseUnavailable):
    """No connection became free in time."""


class DatabaseConflict(DatabaseUnavailable):
    """Other transactions won, also when it was tried again; nothing of this one is kept."""


class DatabaseUnfit(AnimaError):
    """The database is one that nothing can be kept in as it is; its owner has to change something."""


class MigrationFailed(AnimaError):
    """The schema could not be brought to the version asked for."""
