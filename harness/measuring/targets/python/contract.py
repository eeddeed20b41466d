"""Tests that any class that is measured has to pass, for its author's own test suite."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any, Final, cast

import psutil

from harness.measuring.arguments import Argument
from harness.measuring.draws import Draws
from harness.measuring.targets.python.declared import declared_in

CANCELLED_AT: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Parts of the time that a request takes."""
ANSWER_S: Final = 60.0
"""After which nobody would wait for an answer any longer."""
USERS: Final = 3
OPTIONAL: Final = ("prepare", "drain", "statistics", "plans", "exact")


def target_contract(target: type, url: Callable[[], str] = lambda: "") -> type:
    """A class of tests, for pytest under a name such as TestShop. `url` gives the database that `target` may use."""

    class TargetContract:
        def test_it_declares_operations_and_each_is_async(self) -> None:
            assert declared_in(target), "put @operation() over an async method"
            for name in declared_in(target):
                assert inspect.iscoroutinefunction(getattr(target, name)), f"{name} is not async"

        def test_it_performs_every_operation_and_leaves_nothing_behind(self) -> None:
            _opened(target, url(), _each_once)

        def test_it_goes_on_after_requests_were_cancelled(self) -> None:
            _opened(target, url(), _cancelled_and_again)

        def test_it_answers_users_side_by_side(self) -> None:
            _opened(target, url(), _side_by_side)

        def test_what_it_tells_is_as_it_is_read(self) -> None:
            _opened(target, url(), _optional_methods)

    return TargetContract


def _operations(own: Any) -> Sequence[str]:  # noqa: ANN401 -- somebody's own class
    return list(declared_in(cast("type[object]", type(own))))


async def _each_once(own: Any) -> None:  # noqa: ANN401 -- somebody's own class
    for name in _operations(own):
        await _asked(own, name)


async def _cancelled_and_again(own: Any) -> None:  # noqa: ANN401 -- somebody's own class
    for name in _operations(own):
        begun = perf_counter()
        await _asked(own, name)
        took_s = perf_counter() - begun
        for part in CANCELLED_AT:
            request = asyncio.ensure_future(_asked(own, name))
            await asyncio.wait([request], timeout=part * took_s)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        answered, _ = await asyncio.wait([asyncio.ensure_future(_asked(own, name))], timeout=ANSWER_S)
        assert answered, f"{name} is not answered after cancelled ones: each may have kept a connection"
        answered.pop().result()


async def _side_by_side(own: Any) -> None:  # noqa: ANN401 -- somebody's own class
    for name in _operations(own):
        await asyncio.gather(*(_asked(own, name) for _ in range(USERS)))


async def _optional_methods(own: Any) -> None:  # noqa: ANN401 -- somebody's own class
    for name in OPTIONAL:
        method = getattr(own, name, None)
        assert method is None or inspect.iscoroutinefunction(method), f"{name} is not async"
    if drain := getattr(own, "drain", None):
        await drain()
    if statistics := getattr(own, "statistics", None):
        figures = await statistics()
        assert all(isinstance(each, (int, float)) for each in figures.values()), "statistics are numbers by name"
    if plans := getattr(own, "plans", None):
        assert all(isinstance(name, str) for name in await plans()), "plans are of statements by name"


def _asked(own: Any, name: str) -> Coroutine[Any, Any, object]:  # noqa: ANN401 -- somebody's own class
    declared = declared_in(type(own))[name]  # pyright: ignore[reportUnknownArgumentType]
    values = {
        key: next(Argument.model_validate(said).stream(lambda place: Draws(1, f"{name} {place}"), key))
        for key, said in declared.arguments.items()
    }
    request: Coroutine[Any, Any, object] = getattr(own, name)(**values)
    return request


def _opened(target: type, url: str, use: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Opened and closed, with neither tasks nor connections left of what it began."""

    async def run() -> None:
        before = _connections()
        own: Any = target()
        takes = inspect.signature(own.open).parameters
        given = {"url": url, "users": USERS, "variant": next(iter(getattr(target, "variants", ["current"])))}
        await own.open(**{name: value for name, value in given.items() if name in takes})
        try:
            await use(own)
        finally:
            await own.close()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"after close() still running: {left}"
        open_still = _connections() - before
        assert not open_still, f"after close() still connected: {open_still}"

    asyncio.run(run())


def _connections() -> set[object]:
    """Those of this process that are open."""
    found = psutil.Process().net_connections()
    return {(each.laddr, each.raddr) for each in found if each.status == psutil.CONN_ESTABLISHED}
