"""Anybody's own service, asked as the scenario says: started for each variant, or one that runs already.

Each user has cookies and connections of its own, follows redirects as a browser does, and keeps what later requests
take from earlier answers. A request in flight is a user's; there are as many users as requests side by side.
"""

import os
import sysconfig
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from types import SimpleNamespace
from typing import Any, Final, cast
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from harness.children import environment
from harness.errors import EXHAUSTIONS, HarnessError, ProvisioningError, TargetError, UsageError, kind_of
from harness.measuring import exchanges, own_database
from harness.measuring.answers import TOO_LONG, body_of
from harness.measuring.operations import Request
from harness.measuring.plans import StatementPlan
from harness.measuring.servers.addresses import PORT, endpoints
from harness.measuring.servers.service import Launch, serving
from harness.measuring.targets.http import database
from harness.measuring.targets.http.expectations import differences
from harness.measuring.targets.http.operation import DRAWN, HttpOperation
from harness.measuring.targets.http.scenario import HttpScenario, OwnService
from harness.measuring.targets.http.templates import (
    ENVIRONMENT,
    Filled,
    Lookup,
    Placeholder,
    as_text,
    picked,
    read,
    read_text,
)
from harness.measuring.targets.protocol import Response, TargetContext, TargetStatistics
from harness.redaction import HIDDEN, LENGTH_MIN

CONNECT_TIMEOUT_S: Final = 10.0
KEEP_ALIVE_S: Final = 1.5
"""Shorter than any server keeps an idle connection: one that it closes as a request is sent fails that request."""

USERS_BEGUN_MAX: Final = 16
"""Users that make first requests of their own; further ones go on from a copy of one of these."""

HOPELESS_AFTER: Final = 20
"""Failures of an operation that has never succeeded."""

SHOWN: Final = 200
"""Characters of an answer in a sentence."""

WRONG: Final = "wrong answer"
REDIRECTED: Final = "redirected elsewhere"


class HttpTarget:
    """Variants are the scenario's; each starts its own service, unless that runs already."""

    in_process = False
    packages = frozenset({"harness"})
    embedder = None

    def __init__(self, scenario: HttpScenario) -> None:
        self._scenario = scenario
        self._versions = own_database.Versions(scenario)

    @property
    def contents(self) -> str:
        return self._versions.contents

    def variants(self) -> Mapping[str, str]:
        return {name: variant.description for name, variant in self._scenario.variants.items()}

    def schema_version(self, variant: str) -> int:
        return self._versions.of(variant)

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        return self._versions.base_of(schema_version, made)

    async def prepare(self, database_url: str, schema_version: int) -> None:
        if not self._scenario.needs_database:
            return
        await self._versions.prepare(database_url, schema_version)
        await self.migrate(database_url, schema_version)

    async def migrate(self, database_url: str, schema_version: int) -> None:
        if not self._scenario.needs_database:
            return
        await self._versions.migrate(database_url, schema_version)

    @asynccontextmanager
    async def shared(self, context: TargetContext) -> AsyncGenerator[TargetContext]:
        service = self._scenario.service_of(context.variant)
        if service.url is not None:
            yield context
            return
        async with self._started(service, context) as url:
            yield replace(context, service_url=url)

    @asynccontextmanager
    async def _started(self, service: OwnService, context: TargetContext) -> AsyncGenerator[str]:
        await own_database.set_in(context.database_url, self._scenario.variants[context.variant].settings)
        async with serving(launch(self._scenario.name, service, context)) as url:
            yield url

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenHttp"]:
        scenario = self._scenario
        service = scenario.service_of(context.variant)
        secrets = secrets_of(scenario)
        async with AsyncExitStack() as stack:
            url = service.url or context.service_url
            if url is None:
                url = await stack.enter_async_context(self._started(service, context))
            connector = await stack.enter_async_context(aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S))
            counted = context.database_url if scenario.counts_rows and service.url is None else None
            opened = OpenHttp(
                scenario,
                {name: Exchange(each, scenario.kept_of(name)) for name, each in scenario.operations.items()},
                service,
                url,
                connector,
                stack,
                secrets,
                counted,
                context.users,
            )
            yield opened


def secrets_of(scenario: HttpScenario) -> Mapping[Placeholder, str]:
    """The variables of the environment that requests contain. Raises `UsageError` for one that is not there."""
    secrets: dict[Placeholder, str] = {}
    for name, operation in scenario.operations.items():
        for place, reference in operation.references:
            if reference.name == ENVIRONMENT and reference.name not in operation.names:
                value = os.environ.get(reference.path[0])
                if value is None:
                    raise UsageError(
                        f"operations.{name}.{place}: nothing gives {reference}: the environment has no "
                        f"{reference.path[0]}. Set it where the harness runs."
                    )
                secrets[reference] = value
    return secrets


def launch(name: str, service: OwnService, context: TargetContext) -> Launch:
    """The service finds programs on the harness's PATH, and then beside the harness."""
    parts = urlsplit(context.database_url)
    places = endpoints(context.database_url) if parts.hostname else [("", PORT)]
    known = {
        "database_url": context.database_url,
        "database_host": ",".join(host for host, _ in places),
        "database_port": ",".join(str(port) for _, port in places),
        "database_name": unquote(parts.path.removeprefix("/")),
        "database_user": unquote(parts.username or ""),
        "database_password": unquote(parts.password or ""),
    }

    def filled(text: str) -> str:
        for part, value in known.items():
            text = text.replace(f"{{{part}}}", value)
        return text

    inherited = environment()
    path = os.pathsep.join([inherited.get("PATH", os.defpath), sysconfig.get_path("scripts")])
    stated = {key: filled(value) for key, value in service.env.items()}
    return Launch(
        name,
        [filled(part) for part in service.command],
        service.ready,
        {**inherited, "PATH": path, **stated},
        str(service.directory),
        service.start_timeout_s,
    )


@dataclass(slots=True)
class User:
    """A session, with what its earlier answers gave."""

    session: aiohttp.ClientSession
    answers: dict[Placeholder, object] = field(default_factory=dict[Placeholder, object])


class Exchange:
    """An operation whose templates have been read."""

    def __init__(self, operation: HttpOperation, kept: frozenset[Placeholder]) -> None:
        templates = operation.templates
        self.operation = operation
        self.kept = kept
        self._path = read_text(operation.path, quote=lambda text: quote(text, safe=""))
        self._headers = {name: read_text(value) for name, value in operation.headers.items()}
        self._query = self._read(templates, "query")
        self._json = self._read(templates, "json")
        self._form = self._read(templates, "form")
        self._expected = self._read(templates, "expect.json")

    @staticmethod
    def _read(templates: Mapping[str, object], name: str) -> Filled | None:
        return read(templates[name]) if name in templates else None

    def sent(self, lookup: Lookup) -> dict[str, Any]:
        """Says what the client is told, but for the address."""
        headers = {name: filled(lookup) for name, filled in self._headers.items()}
        options: dict[str, Any] = {"headers": headers}
        if self._query is not None:
            options["params"] = _pairs(self._query(lookup))
        if self._json is not None:
            headers.setdefault("Content-Type", "application/json")
            options["data"] = msgspec.json.encode(self._json(lookup))
        if self._form is not None:
            options["data"] = aiohttp.FormData(_pairs(self._form(lookup)))
        return options

    def shown(self, lookup: Lookup) -> str:
        """Says what stands behind the address: the query, the headers and the body."""
        query = "&".join(f"{name}={value}" for name, value in _pairs(self._query(lookup))) if self._query else ""
        headers = [f"{name}: {filled(lookup)}" for name, filled in self._headers.items()]
        body = [as_text(filled(lookup)) for filled in (self._json, self._form) if filled]
        return " ".join([f"?{query}" if query else "", *headers, *body]).rstrip()

    def path(self, lookup: Lookup) -> str:
        return self._path(lookup)

    def read_answer(self, body: bytes, lookup: Lookup) -> Mapping[Placeholder, object]:
        """Says what is kept of it. Raises `TargetError` where it is not what is expected."""
        if self._expected is None and not self.kept:
            return {}
        try:
            answered: object = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise TargetError(WRONG, f"the answer is not JSON ({error})") from error
        if self._expected is not None and (found := [*differences(self._expected(lookup), answered, "json")]):
            raise TargetError(WRONG, "; ".join(found[:3]))
        try:
            return {reference: picked(answered, reference.path) for reference in self.kept}
        except LookupError:
            missing = next(each for each in self.kept if not _has(answered, each))
            raise TargetError(
                WRONG, f"the answer has no {'.'.join(missing.path)}, which is taken as {missing}"
            ) from None


@dataclass(slots=True)
class OpenHttp:
    """A service that answers at `url`. `counted` is its database, where what its sessions did is waited for."""

    scenario: HttpScenario
    """What the run's scenario says."""
    exchanges: Mapping[str, Exchange]
    """What is sent and expected, by operation."""
    service: OwnService
    """The variant's service."""
    url: str
    """The address at which it answers."""
    connector: aiohttp.BaseConnector
    """The connections that all users share."""
    stack: AsyncExitStack
    """What is closed with the target."""
    secrets: Mapping[Placeholder, str]
    """The values of variables of the environment, by their placeholders."""
    counted: str | None
    """The service's database, where what its sessions did is waited for; None where it is not the run's."""
    users_planned: int
    """How many users ask at once."""
    idle: list[User] = field(default_factory=list[User])
    """The users who wait for nothing."""
    begun: list[User] = field(default_factory=list[User])
    """All users so far."""
    succeeded: set[str] = field(default_factory=set[str])
    """The operations of which one answer was right."""
    failed: Counter[str] = field(default_factory=Counter[str])
    """How many answers were wrong, by operation."""
    last_failures: dict[str, TargetError] = field(default_factory=dict[str, TargetError])
    """The last wrong answer, by operation."""

    async def perform(self, request: Request) -> Response:
        if request.operation not in self.exchanges:
            raise TargetError("refused", f"There is no operation {request.operation!r}.")
        user = self.idle.pop() if self.idle else await self._further_user()
        try:
            return await self._performed(user, request)
        finally:
            self.idle.append(user)

    async def prime(self, texts: Sequence[str]) -> None:
        """Has the users make their first requests. Raises `ProvisioningError` where that fails."""
        del texts
        if self.service.url is not None:
            await self._meet()
        names = self.scenario.begun_with
        users = [await self._new_user() for _ in range(min(self.users_planned, USERS_BEGUN_MAX))]
        for name in names:
            planned = self._planned()
            fresh = islice(self.scenario.operations[name].requests(name, self.scenario.seed), planned, None)
            for user, request in zip(users, fresh, strict=False):
                try:
                    await self._performed(user, request)
                except TargetError as error:
                    raise ProvisioningError(
                        f"{error} Other requests take a part of its answer, so each user begins with it."
                    ) from error
        self.begun = list(users)
        self.idle = list(reversed(users))

    async def drain(self) -> None:
        """Knows of no work that goes on. Raises `HarnessError` when an operation was always answered wrong."""
        for name in self.failed.keys() - self.succeeded:
            raise self._hopeless(name)

    async def reconnect(self) -> None:
        """The sessions are the service's."""

    async def statistics(self) -> TargetStatistics:
        return TargetStatistics()

    def levels(self) -> Mapping[str, float]:
        return {}

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        del executed
        return ()

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        del queries
        return ()

    async def report_statistics(self) -> bool:
        """Waits until the service's sessions have told by themselves, where a budget is on what they tell."""
        return self.counted is not None and await database.wait_for_statistics(self.counted)

    async def _performed(self, user: User, request: Request) -> Response:
        name = request.operation
        try:
            with _failures_named():
                kept = await self._sent(user, request)
        except TargetError as error:
            failure = TargetError(error.kind, f"operations.{name}: {self._without_secrets(str(error))}.")
            if error.kind in (WRONG, REDIRECTED, TOO_LONG) or error.kind.startswith("status"):
                self.failed[name] += 1
                self.last_failures[name] = failure
                if name not in self.succeeded and self.failed[name] >= HOPELESS_AFTER:
                    raise self._hopeless(name) from error
            raise failure from error
        self.succeeded.add(name)
        user.answers.update(kept)
        return Response()

    async def _sent(self, user: User, request: Request) -> Mapping[Placeholder, object]:
        exchange = self.exchanges[request.operation]
        names = exchange.operation.names

        def lookup(reference: Placeholder) -> object:
            if reference.name == DRAWN:
                return picked(request.arguments, reference.path)
            if reference.name in names:
                return picked(request.arguments, ("values", reference.name, *reference.path))
            if reference.name == ENVIRONMENT:
                return self.secrets[reference]
            return user.answers[reference]

        try:
            path, options = exchange.path(lookup), exchange.sent(lookup)
        except LookupError as error:
            raise TargetError(WRONG, f"there is no value for {error} yet") from error
        address = URL(self.url + path)
        exchanges.sent(lambda: self._without_secrets(f"{exchange.operation.method} {address}{exchange.shown(lookup)}"))
        async with user.session.request(exchange.operation.method, address, **options) as answer:
            body = await body_of(answer)
            exchanges.came_back(lambda: self._without_secrets(f"HTTP status {answer.status}{_excerpt(body)}"))
            if not exchange.operation.expect.allows(answer.status):
                raise TargetError(
                    f"status {answer.status}",
                    f"HTTP status {answer.status} instead of {exchange.operation.expect.wanted}{_excerpt(body)}",
                )
        return exchange.read_answer(body, lookup)

    async def _further_user(self) -> User:
        user = await self._new_user()
        if self.begun:
            like = self.begun[len(self.idle) % len(self.begun)]
            user.answers = dict(like.answers)
            user.session.cookie_jar.update_cookies(
                {each.key: each.value for each in like.session.cookie_jar}, URL(self.url)
            )
        return user

    async def _new_user(self) -> User:
        timeout = aiohttp.ClientTimeout(total=self.service.timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        session = aiohttp.ClientSession(
            connector=self.connector,
            connector_owner=False,
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # A service at an address of numbers has cookies as well.
            timeout=timeout,
            trace_configs=[staying_at(URL(self.url))],
        )
        return User(await self.stack.enter_async_context(session))

    async def _meet(self) -> None:
        """Raises `ProvisioningError` where a service that runs already is not there.

        Where nobody stated what is answered with success once it is, any answer shows that.
        """
        user = await self._new_user()
        try:
            async with user.session.get(self.url + self.service.ready) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TargetError) as error:
            raise ProvisioningError(
                f"service.url: {self.url} cannot be asked ({error}). Start the service, or correct the address."
            ) from error
        if "ready" in self.service.model_fields_set and not 200 <= status < 300:  # noqa: PLR2004 -- HTTP's range of success
            raise ProvisioningError(
                f"service.url: {self.url}{self.service.ready} answers with HTTP status {status}. State in "
                "`service.ready` a path that is answered with success."
            )

    def _planned(self) -> int:
        """How many requests of it a round may hold, so that one behind them is no repetition."""
        seed = self.scenario.seed
        return sum(phase.total(seed) for phase in self.scenario.phases)

    def _hopeless(self, name: str) -> HarnessError:
        return HarnessError(
            f"Each of {self.failed[name]} requests failed, none succeeded: {self.last_failures[name]} Correct the "
            "request or what it expects."
        )

    def _without_secrets(self, text: str) -> str:
        for secret in self.secrets.values():
            if len(secret) >= LENGTH_MIN:
                text = text.replace(secret, HIDDEN)
        return text


def staying_at(url: URL) -> aiohttp.TraceConfig:
    """Redirects are followed as far as they lead to the service itself."""

    async def check(_session: aiohttp.ClientSession, _context: SimpleNamespace, redirect: Any) -> None:  # noqa: ANN401 -- aiohttp's
        to = redirect.response.url.join(URL(redirect.response.headers.get("Location", "")))
        if to.absolute and to.origin() != url.origin():
            redirect.response.release()
            raise TargetError(REDIRECTED, f"{redirect.response.url.path} redirects to {to}, which is another service")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(check)
    return tracing


@contextmanager
def _failures_named() -> Generator[None]:
    """What the client raises, as a `TargetError` of its class."""
    try:
        yield
    except TimeoutError as error:
        raise TargetError("timeout", "no answer in time") from error
    except aiohttp.ClientConnectorError as error:
        raise TargetError(_exhaustion(error) or "refused", str(error)) from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError) as error:
        raise TargetError(_exhaustion(error) or "broken connection", str(error)) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise TargetError(WRONG, f"{type(error).__name__}: {error}") from error


def _exhaustion(error: BaseException) -> str | None:
    kind = kind_of(error)
    return kind if kind in EXHAUSTIONS else None


def _pairs(table: object) -> list[tuple[str, str]]:
    """A list gives its name several times."""
    return [
        (name, as_text(value))
        for name, values in cast("dict[str, object]", table).items()
        for value in (cast("list[object]", values) if isinstance(values, list) else [values])
    ]


def _has(document: object, reference: Placeholder) -> bool:
    try:
        picked(document, reference.path)
    except LookupError:
        return False
    return True


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * SHOWN].decode(errors="replace").split())
    return f": {text[:SHOWN]}" if text else ""
