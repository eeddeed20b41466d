"""Whose memory system answers a request, and what that caller's own writes are, which each later read has to show.

Where standbys answer reads, each answer says in a header how far the caller's writes go. Who sends that back is
answered rightly by any process. Who does not is known by the key or the address, as far as this process has answered
it: so where it is not alone, the primary answers whoever sends nothing.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from anima.assembly import Anima
from anima.errors import InputIssue, InvalidInput
from anima.http.rate_limit import client_of
from anima.memory import MemorySystem
from anima.standbys import CallerHistory

POSITION_HEADER: Final = "X-Anima-Position"
POSITION_MAX: Final = 2**63 - 1
NOBODYS: Final = ""
"""Instead of the name of a tenant, where there are none."""

CALLERS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """The memory system that a request asks, and the history of who sent it where standbys answer reads."""

    memory: MemorySystem
    history: CallerHistory | None = None

    def with_position(self, response: Response) -> Response:
        """The response, with how far the caller's writes go now."""
        if self.history is not None:
            response.headers[POSITION_HEADER] = str(self.history.position)
        return response


@dataclass(slots=True)
class Callers:
    """The histories of those who asked last. Others are taken to have written what was forgotten last.

    `animas` are by tenant; where there are no tenants, there is one, which is `NOBODYS`.
    """

    animas: Mapping[str, Anima]
    is_alone: bool = True
    """Whether no other process answers the same callers."""
    histories: OrderedDict[str, CallerHistory] = field(default_factory=OrderedDict[str, CallerHistory])
    forgotten: int = 0

    def asked(self, request: Request) -> Asked:
        """Raises `InvalidInput` for a header that is no position."""
        anima = self.anima_of(request)
        if anima.standbys is None:
            return Asked(anima.memory)
        sent = position_of(request)
        history = self.known(client_of(request.scope)) if self.is_alone else CallerHistory()
        history.extend(sent or 0)
        is_known = self.is_alone or sent is not None
        return Asked(anima.of_caller(history, is_known=is_known), history)

    def anima_of(self, request: Request) -> Anima:
        """The memory system of the tenant to whom the request's key belongs."""
        return self.animas[request.scope.get("state", {}).get("tenant") or NOBODYS]

    def known(self, caller: str) -> CallerHistory:
        history = self.histories.setdefault(caller, CallerHistory(self.forgotten))
        self.histories.move_to_end(caller)
        if len(self.histories) > CALLERS_MAX:
            _, oldest = self.histories.popitem(last=False)
            self.forgotten = max(self.forgotten, oldest.position)
        return history


def position_of(request: Request) -> int | None:
    sent = request.headers.get(POSITION_HEADER)
    if sent is None:
        return None
    if not (sent.isascii() and sent.isdecimal() and int(sent) <= POSITION_MAX):
        issue = InputIssue(POSITION_HEADER, "is not what an earlier answer said")
        raise InvalidInput(f"The request is not valid: {issue.path} {issue.message}", (issue,))
    return int(sent)
