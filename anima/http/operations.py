"""The three operations: a request's JSON or parameters in, the contract's answer out."""

from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Final, cast

from msgspec import UNSET
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from anima.errors import InputIssue, InvalidInput
from anima.http.answers import success
from anima.http.callers import Callers
from anima.http.hang_ups import unless_client_leaves
from anima.http.schemas import AddedData, BootstrapData, PromotionEntry, QueryData
from anima.http.trace_log import OperationObserver
from anima.model import BootstrapRequest, NewMemory, Query

CREATED = 201
PLAIN: Final = "identity"
"""The content coding of a body that is not compressed."""

TEXT_PARAMETERS = frozenset({"conversationId"})


@dataclass(frozen=True, slots=True)
class Operations:
    callers: Callers
    observe: OperationObserver

    async def add(self, request: Request) -> Response:
        new = NewMemory.from_wire(await body_of(request))
        self.observe("add", new)
        asked = self.callers.asked(request)
        added = await unless_client_leaves(request, asked.memory.add(new))
        status = 200 if added.is_duplicate else CREATED
        return asked.with_position(
            success(request, AddedData.of(added), status, embedding_provider=added.embedding_provider)
        )

    async def query(self, request: Request) -> Response:
        query = Query.from_wire(await body_of(request))
        self.observe("query", query)
        asked = self.callers.asked(request)
        started = perf_counter()
        found = await unless_client_leaves(request, asked.memory.query(query))
        return asked.with_position(
            success(
                request,
                QueryData.of(found, query.query),
                query_time=round((perf_counter() - started) * 1000, 3),
                embedding_provider=found.embedding_provider,
                promotions=tuple(map(PromotionEntry.of, found.promotions)) or UNSET,
            )
        )

    async def bootstrap(self, request: Request) -> Response:
        wanted = BootstrapRequest.from_wire(parameters_of(request))
        self.observe("bootstrap", wanted)
        asked = self.callers.asked(request)
        bootstrap = await unless_client_leaves(request, asked.memory.bootstrap(wanted))
        return asked.with_position(success(request, BootstrapData.of(bootstrap)))


async def body_of(request: Request) -> Mapping[str, object]:
    """The JSON object that a request brings. Raises `InvalidInput`, and `HTTPException` for one that is compressed."""
    coding = request.headers.get("content-encoding", PLAIN).strip().lower()
    if coding not in {"", PLAIN}:
        raise HTTPException(415, "The body is encoded, and is read only as it is.", {"Accept-Encoding": PLAIN})
    try:
        # RFC 8259 has nobody send the mark, and allows to pass over it.
        body = from_json((await request.body()).removeprefix(BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise _invalid("", f"The body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise _invalid("", "The body is not a JSON object.")
    return cast("dict[str, object]", body)


def parameters_of(request: Request) -> Mapping[str, object]:
    """The query string as JSON values: `true`, `false` and numbers are what they say. Raises `InvalidInput`."""
    parameters: dict[str, object] = {}
    for name, text in request.query_params.multi_items():
        if name in parameters:
            raise _invalid(name, "given more than once")
        parameters[name] = text if name in TEXT_PARAMETERS else _value(text)
    return parameters


def _value(text: str) -> object:
    try:
        value = from_json(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def _invalid(path: str, message: str) -> InvalidInput:
    return InvalidInput(f"The request is not valid: {message}", (InputIssue(path, message),))
