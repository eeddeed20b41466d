"""Says what is asked of a target: operations by the names that it declares, each with its arguments."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One operation to perform.

    `first_time_text` is True when the text to embed has not occurred earlier in the run (None: nothing to embed).
    It is decided when the workload is drawn, so it is the same for every variant.
    """

    operation: str
    arguments: Mapping[str, object]
    first_time_text: bool | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """Says what a run sends, the same for every variant: requests by phase, in the order in which they are issued.

    `primed_texts` are known before the first request. Any other text occurs in one request of the whole run only, so
    `first_time_text` is right whichever requests a slow variant leaves out and however many users work side by side.
    `digest` names all that is asked where the requests are not held, since other processes draw them as well.
    """

    primed_texts: tuple[str, ...]
    by_phase: Mapping[str, tuple[Request, ...]]
    digest: str | None = None
