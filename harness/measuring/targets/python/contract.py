"""Tests that any class that is measured has to pass, for its author's own test suite."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from harness.measuring.arguments import Argument
from harness.measuring.draws import Draws
from harness.measuring.targets.python.declared import declared_in


def target_contract(target: type, url: Callable[[], str] = lambda: "") -> type:
    """A class of tests, for pytest under a name such as TestShop. `url` gives the database that `target` may use."""

    class TargetContract:
        def test_it_declares_operations_and_each_is_async(self) -> None:
            assert declared_in(target), "put @operation() over an async method"
            for name in declared_in(target):
                assert inspect.iscoroutinefunction(getattr(target, name)), f"{name} is not async"

        def test_it_performs_every_operation_and_leaves_no_task_behind(self) -> None:
            async def each_once(own: Any) -> None:  # noqa: ANN401 -- somebody's own class
                for name in declared_in(target):
                    await _asked(own, name)

            _opened(target, url(), each_once)

        def test_it_goes_on_after_a_request_was_cancelled(self) -> None:
            async def cancelled_and_again(own: Any) -> None:  # noqa: ANN401 -- somebody's own class
                for name in declared_in(target):
                    request = asyncio.ensure_future(_asked(own, name))
                    await asyncio.sleep(0)
                    request.cancel()
                    await asyncio.gather(request, return_exceptions=True)
                    await _asked(own, name)

            _opened(target, url(), cancelled_and_again)

    return TargetContract


def _asked(own: Any, name: str) -> Coroutine[Any, Any, object]:  # noqa: ANN401 -- somebody's own class
    declared = declared_in(type(own))[name]  # pyright: ignore[reportUnknownArgumentType]
    values = {
        key: next(Argument.model_validate(said).stream(lambda place: Draws(1, f"{name} {place}"), key))
        for key, said in declared.arguments.items()
    }
    request: Coroutine[Any, Any, object] = getattr(own, name)(**values)
    return request


def _opened(target: type, url: str, use: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Opened for one user and closed, with nothing left of what it began."""

    async def run() -> None:
        own: Any = target()
        takes = inspect.signature(own.open).parameters
        given = {"url": url, "users": 1, "variant": next(iter(getattr(target, "variants", ["current"])))}
        await own.open(**{name: value for name, value in given.items() if name in takes})
        try:
            await use(own)
        finally:
            await own.close()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"after close() still running: {left}"

    asyncio.run(run())
