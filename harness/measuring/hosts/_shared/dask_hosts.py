"""Workers on hosts that a dask cluster connects: what the coordinator says to them goes through its scheduler."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, cast
from uuid import uuid4

import dask.config
from distributed import Client, Security

from harness.errors import UsageError
from harness.measuring.hosts._shared import on_host, relay
from harness.measuring.hosts.protocol import Block, Draw, HostLost, HostPlace, Interpreter, Moments
from harness.redaction import without_secrets

ANSWER_S_MAX: Final = 10.0
"""Of a scheduler, until it is taken for one that does not answer."""

HANDSHAKE_S_MAX: Final = 5.0
"""Of who has taken the call, to say what a scheduler says."""

JOIN_S_MAX: Final = 20.0
"""Of the first of its workers, until there are none."""

ALL_JOIN_S_MAX: Final = 120.0
"""Of as many as are wanted: a cluster may have to begin with making machines for them."""

SILENCE_S_MAX: Final = 15.0
"""A host may stand still for some seconds, and nothing is lost by it. One that is cut off comes back or does not."""

DEPARTURES: Final = "all"
"""Where dask tells of all workers."""

RETRY_S: Final = 0.2
WEIGHT: Final = "weight"
"""The resource of a dask worker that says how much of the load each of its slots takes."""

WEIGHT_MAX: Final = 1_000
SETTINGS: Final = {
    "distributed.scheduler.reuse-broadcast-comm": True,
    "distributed.scheduler.work-stealing": False,
    "distributed.admin.tick.limit": "1h",
}
"""Of a scheduler of the run's own: it keeps its connections, moves no task, and its loop may be busy with samples."""


@dataclass(frozen=True, slots=True)
class DaskSlotPlace:
    """A slot's dask worker: where it is reached, and what it is called."""

    address: str
    place: HostPlace


@dataclass(slots=True)
class Departures:
    """Tells of dask workers that the scheduler has given up, as soon as it does."""

    events: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    def of(self, address: str) -> asyncio.Event:
        return self.events.setdefault(address, asyncio.Event())

    def take(self, event: tuple[float, Any]) -> None:
        _, what = event
        if isinstance(what, dict) and (known := cast("dict[str, object]", what)).get("action") == "remove-worker":
            self.of(str(known.get("worker"))).set()


class DaskHosts:
    """All slots of a cluster: one for each thread of its dask workers. The client is dask's, which is not typed."""

    is_apart = True

    def __init__(self, client: Any, slots: Sequence[DaskSlotPlace]) -> None:  # noqa: ANN401
        self._client = client
        self._slots = slots
        self.departures = Departures()
        self.places: Sequence[HostPlace] = [slot.place for slot in slots]

    async def check(self, target: str, draw: Draw | None) -> None:
        """Raises `UsageError` where a host has another harness, target or files than this machine, or lacks them."""
        ours = on_host.identity(target)
        hosts = {slot.address: slot.place.host for slot in self._slots}
        answers = await self._client.run(on_host.identity, target, workers=list(hosts), on_error="return")
        for address, theirs in answers.items():
            refuse_other(hosts[address], ours, theirs)
        if draw is not None:
            drawn = await self._client.run(on_host.drawn, draw, workers=list(hosts), on_error="return")
            requests = await on_host.drawn(draw)
            for address, digest in drawn.items():
                refuse_other_requests(hosts[address], requests, digest)

    async def start(self, place: int, task: str, interpreter: Interpreter | None) -> "DaskSlot":
        assert interpreter is None, "revisions are compared on one machine"
        slot = self._slots[place]
        name = f"harness-{uuid4().hex}"
        carried = self._client.submit(
            on_host.carried,
            name,
            task,
            key=name,
            workers=[slot.address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        return DaskSlot(self._client, slot, name, carried, self.departures.of(slot.address))


def refuse_other(host: str, ours: Mapping[str, str], theirs: Mapping[str, str] | Exception) -> None:
    """Raises `UsageError` where what a host measures with is not what this machine does."""
    if isinstance(theirs, Exception):
        raise UsageError(
            f"{host} cannot say what it measures with ({type(theirs).__name__}: {theirs}). Install the same "
            "anima-harness there as here, with the extra `cluster` and what the target needs."
        )
    for what, version in ours.items():
        if theirs.get(what) != version:
            raise UsageError(
                f"{host} has another version of {what} ({theirs.get(what, 'none')}) than this machine ({version}). "
                "Install the same on both."
            )


def refuse_other_requests(host: str, ours: str, theirs: str | Exception) -> None:
    """Raises `UsageError` where a host would send something else: files that a scenario names are the host's own."""
    if isinstance(theirs, Exception):
        raise UsageError(
            f"{host} cannot draw what it is to send ({theirs}). Bring the files that the scenario names to that host."
        )
    if theirs != ours:
        raise UsageError(
            f"{host} would send other requests than this machine. Bring the files that the scenario names to that host."
        )


class DaskSlot:
    """One worker, which a dask task carries. Client and task are dask's, which are not typed."""

    def __init__(self, client: Any, slot: DaskSlotPlace, name: str, carried: Any, gone: asyncio.Event) -> None:  # noqa: ANN401
        self._client = client
        self._slot = slot
        self._name = name
        self._carried = carried
        self._gone = gone

    async def tell(self, line: str) -> None:
        await self._ask(on_host.tell_slot, self._name, line)

    async def read(self, position: int) -> Block:
        if self._carried.status == "error":
            error = await self._carried.exception()
            raise HostLost(f"dask could not start it there ({type(error).__name__}: {error})")
        block: Block = await self._ask(on_host.read_slot, self._name, position)
        return block

    async def moments(self) -> Moments:
        found: Moments = await self._ask(relay.moments)
        return found

    async def end(self) -> None:
        """Waits for the worker to be gone from a host that is there still."""
        try:
            await self._ask(on_host.let_go_of, self._name)
            await asyncio.wait_for(self._carried, relay.ENDING_S_MAX + ANSWER_S_MAX)
        except (HostLost, OSError):
            self._carried.release()

    async def _ask(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 -- what it returns
        """Asks again where the way there broke and the host is known still. Raises `HostLost`."""
        begun = perf_counter()
        while True:
            left_s = SILENCE_S_MAX - (perf_counter() - begun)
            asked = self._client.run(function, *arguments, workers=[self._slot.address])
            try:
                answers = await self._unless_gone(asked, left_s)
                return answers[self._slot.address]
            except OSError as error:
                if self._gone.is_set():
                    raise HostLost("its dask worker has ended") from error
                if perf_counter() - begun > SILENCE_S_MAX - RETRY_S:
                    raise HostLost(f"it has not answered for {SILENCE_S_MAX:.0f} s") from error
                await asyncio.sleep(RETRY_S)

    async def _unless_gone(self, asked: Any, left_s: float) -> Any:  # noqa: ANN401 -- a coroutine of dask's
        """Raises `OSError` when the host goes away meanwhile, or does not answer in time."""
        asking, going = asyncio.ensure_future(asked), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({asking, going}, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            raise OSError("no answer")
        finally:
            for each in (asking, going):
                each.cancel()
            await asyncio.gather(asking, going, return_exceptions=True)


@asynccontextmanager
async def connected(
    address: str, security: Security | None, named: str, workers_min: int = 1
) -> AsyncGenerator[DaskHosts]:
    """The hosts of the scheduler at the address. Raises `UsageError` where it does not answer or has no workers."""
    quieten()
    connecting: Any = Client
    client = connecting(
        address, asynchronous=True, security=security, timeout=ANSWER_S_MAX, set_as_default=False, name="harness"
    )
    async with AsyncExitStack() as stack:
        # Also where nobody answers, or nobody waits for it any more.
        stack.push_async_callback(client.close)
        try:
            # Dask waits without an end for what somebody who took its call is to say.
            async with asyncio.timeout(ANSWER_S_MAX + HANDSHAKE_S_MAX):
                await client
        except (OSError, ValueError) as error:
            raise UsageError(
                f"No dask scheduler answers at {named} ({_cause(error)}). Start one, or correct --workers."
            ) from None
        hosts = DaskHosts(client, slots_of(await _joined(client, named, workers_min)))
        client.subscribe_topic(DEPARTURES, hosts.departures.take)
        stack.callback(client.unsubscribe_topic, DEPARTURES)
        yield hosts


async def _joined(client: Any, named: str, workers_min: int) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401
    """What the scheduler knows of its workers, once there are as many as are wanted. Raises `UsageError`."""
    patience_s = JOIN_S_MAX if workers_min == 1 else ALL_JOIN_S_MAX
    with suppress(TimeoutError):
        await client.wait_for_workers(workers_min, timeout=patience_s)
    workers: Mapping[str, Mapping[str, Any]] = (await client.scheduler.identity(n_workers=-1))["workers"]
    if len(workers) < workers_min:
        raise UsageError(
            f"The dask scheduler at {named} has {len(workers)} workers, and {workers_min} were wanted within "
            f"{patience_s:.0f} s. Start more with `dask worker {named} --no-nanny`."
        )
    return workers


def slots_of(known: Mapping[str, Mapping[str, Any]]) -> Sequence[DaskSlotPlace]:
    """One for each thread of a dask worker. Raises `UsageError` for a weight that is no whole number."""
    slots: list[DaskSlotPlace] = []
    for address, worker in sorted(known.items(), key=lambda each: (str(each[1].get("name", "")), each[0])):
        weight = float(worker.get("resources", {}).get(WEIGHT, 1))
        host = str(worker.get("name", address)).rpartition("//")[2]
        if not weight.is_integer() or not 1 <= weight <= WEIGHT_MAX:
            raise UsageError(
                f"{host} has the weight {weight:g}. Start it with a whole number to {WEIGHT_MAX}, such as "
                f"`--resources {WEIGHT}=2`."
            )
        slots += [DaskSlotPlace(address, HostPlace(host, int(weight)))] * int(worker["nthreads"])
    return slots


def _cause(error: BaseException) -> str:
    """The innermost reason that says something, such as an expired certificate."""
    said = error
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
        said = error if str(error) else said
    if isinstance(said, TimeoutError) and not str(said):
        return "something takes the call there, and does not speak as a scheduler does"
    return without_secrets(f"{type(said).__name__}: {said}" if str(said) else type(said).__name__)


def quieten() -> None:
    """Has dask's warnings go where those of other libraries go, and not to the terminal."""
    dask.config.set(SETTINGS)
    for name in ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("distributed").setLevel(logging.ERROR)
