"""A class that is measured: what its operations are, what becomes of their failures, and what its author is told."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import TargetError, UsageError
from harness.measuring import scenario_files
from harness.measuring.operations import Request
from harness.measuring.targets.protocol import Response, TargetContext
from harness.measuring.targets.python.scenario import PythonScenario
from harness.measuring.targets.python.target import PythonTarget
from harness.testing import operation, target_contract

CONTEXT = TargetContext("current", "postgresql://nowhere/none", users=3)


class Kept:
    """What the test's class was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def open(self, url: str, users: int) -> None:
        self.told.append((url, users))

    async def close(self) -> None:
        self.told.append("closed")

    @operation(weight=3, number={"sequence": {}}, fixed=7)
    async def count(self, number: int, fixed: int) -> None:
        self.told.append((number, fixed))
        await asyncio.sleep(0)

    @operation()
    async def tell(self) -> Response:
        return Response(results=4)

    @operation()
    async def fail(self) -> None:
        assert self.told == [], "never"

    @operation()
    async def block(self) -> None:
        time.sleep(0.03)  # noqa: ASYNC251 -- the mistake that is to be found


TestCounting = target_contract(
    type("Counting", (), {name: getattr(Kept, name) for name in ("__init__", "open", "close", "count")})
)


def scenario(**stated: Any) -> PythonScenario:
    document = {"name": "kept", "target": f"{__name__}:Kept", "phases": [{"requests": 6}]}
    return PythonScenario.model_validate(document | stated)


def test_operations_and_weights_are_those_of_the_class() -> None:
    found = scenario()
    assert found.planned == {"mix": {"count": 3, "tell": 1, "fail": 1, "block": 1}}
    assert scenario_files.parsed(found.for_worker) == found


async def test_a_method_gets_what_is_drawn_and_tells_what_it_says() -> None:
    found = scenario()
    [drawn, again] = [request for request in found.workload_of(1).by_phase["mix"] if request.operation == "count"][:2]
    assert (drawn.arguments, again.arguments) == ({"number": 1, "fixed": 7}, {"number": 2, "fixed": 7})
    async with PythonTarget(found).open(CONTEXT) as opened:
        assert await opened.perform(drawn) == Response()
        assert await opened.perform(Request("tell", {})) == Response(results=4)
        with pytest.raises(TargetError) as failed:
            await opened.perform(Request("fail", {}))
        assert failed.value.kind == "wrong answer"


async def test_a_method_that_blocks_the_loop_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with PythonTarget(scenario()).open(CONTEXT) as opened:
        await opened.perform(Request("block", {}))
    assert "block blocked the event loop for more than 10 ms in 1 of 1 requests" in capsys.readouterr().err


async def test_a_request_can_be_cancelled() -> None:
    class Waiting(Kept):
        @operation()
        async def wait(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.told.append("cleaned up")

    found = scenario()
    async with PythonTarget(found).open(CONTEXT) as opened:
        own = Waiting()
        opened._methods = {"wait": own.wait}
        opened._by_number = {"wait": False}
        waiting = asyncio.ensure_future(opened.perform(Request("wait", {})))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert own.told == ["cleaned up"]


WITHOUT_OPEN = "from harness.testing import operation\nclass Shop:\n    @operation()\n    async def x(self): ...\n"


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("nowhere_there:Shop", "", "nowhere_there cannot be imported"),
        ("own_a:Shap", "class Shop: pass", "own_a has no class 'Shap'. Did you mean 'Shop'"),
        ("own_b:Shop", "class Shop: pass", "Shop has no operation"),
        (
            "own_c:Shop",
            "from harness.testing import operation\nclass Shop:\n    @operation()\n    def x(self): pass\n",
            "Shop.x is an operation and not async",
        ),
        (
            "own_d:Shop",
            WITHOUT_OPEN,
            "Shop has no async method `open`. Write `async def open(self)`, where it connects",
        ),
        ("own_e:Shop", f"{WITHOUT_OPEN}    async def open(self): ...\n", "Shop has no async method `close`"),
    ],
)
def test_a_class_that_cannot_be_measured_is_refused(tmp_path: Path, target: str, code: str, message: str) -> None:
    (tmp_path / f"{target.partition(':')[0]}.py" if code else tmp_path / "empty.py").write_text(code, encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(f'name = "own"\ntarget = "{target}"\n[[phases]]\nrequests = 1\n', encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        scenario_files.load_scenario(str(path))
    assert message in str(refused.value)


class Searching(Kept):
    """Finds the even ones of the numbers up to `k`, of which an exact search finds all."""

    @operation(k={"uniform": {"of": [4]}})
    async def find(self, k: int) -> list[int]:
        return list(range(2, k + 1, 2))

    @operation(k={"uniform": {"of": [4]}})
    async def guess(self, k: int) -> int:
        return k

    async def exact(self, k: int, operation: str) -> list[int]:
        assert operation in ("find", "guess")
        return list(range(1, k + 1))


def searching(**stated: Any) -> PythonScenario:
    document = {"name": "kept", "target": f"{__name__}:Searching", "phases": [{"requests": 6}], "recall_queries": 2}
    return PythonScenario.model_validate(document | stated)


async def test_what_a_search_finds_is_held_against_what_the_class_finds_exactly() -> None:
    found = searching(budgets=["find.recall >= 50%"])
    assert {"find", "guess"} <= set(found.searched)
    assert "count" not in found.searched, "its arguments are others"
    async with PythonTarget(found).open(CONTEXT) as opened:
        assert await opened.recalls([Request("find", {"k": 4}), Request("find", {"k": 2})]) == (0.5, 0.5)
        assert await opened.recalls([Request("find", {"k": 0})]) == (), "of nothing no share is told"
        with pytest.raises(UsageError, match="guess returned int: for a budget on recall it has to return a list"):
            await opened.recalls([Request("guess", {"k": 4})])


@pytest.mark.parametrize(
    ("make", "budget", "said"),
    [
        (
            scenario,
            "count.recall >= 50%",
            r"has no method `exact`. Write `async def exact\(self, number, fixed\)`",
        ),
        (searching, "after: count . recall >= 50%", "Searching has an `exact` that is none for count"),
        (searching, "nothing.recall >= 50%", r"Write `async def exact\(self, …\)`"),
    ],
)
def test_a_budget_on_recall_that_nobody_could_tell_is_refused(
    make: Callable[..., PythonScenario], budget: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        make(budgets=[budget], variants={"after": {}})


class EachOwn:
    """Fills a database for each variant."""

    filled: list[tuple[str, str]]

    async def prepare(self, url: str, variant: str) -> None:
        type(self).filled.append((url, variant))

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    @operation()
    async def ask(self) -> None: ...


async def test_a_class_that_prepares_by_variant_has_a_database_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def noted(url: str, *_: object) -> None:
        done.append(url)

    monkeypatch.setattr("harness.measuring.own_database.prepare", noted)
    monkeypatch.setattr("harness.measuring.own_database.apply", noted)
    EachOwn.filled = []
    variants: dict[str, dict[str, str]] = {"one": {}, "other": {}}
    target = PythonTarget(scenario(target=f"{__name__}:EachOwn", variants=variants))
    assert [target.schema_version(name) for name in variants] == [0, 1]
    assert target.base_of(1, [0]) is None
    for name in variants:
        await target.prepare(f"of {name}", target.schema_version(name))
    assert EachOwn.filled == [("of one", "one"), ("of other", "other")]
    assert done == ["of one", "of one", "of other", "of other"]


def test_a_directory_is_seen_from_the_scenario_file(tmp_path: Path) -> None:
    for name in ("scenarios", "code"):
        (tmp_path / name).mkdir()
    (tmp_path / "code/seen_from_there.py").write_text(
        "from harness.testing import operation\n\n\nclass Seen:\n    async def open(self): ...\n\n"
        "    async def close(self): ...\n\n    @operation()\n    async def ask(self): ...\n"
    )
    path = tmp_path / "scenarios/seen.toml"
    path.write_text(
        'name = "seen"\ntarget = "seen_from_there:Seen"\ndirectory = "../code"\nphases = [{ requests = 1 }]\n'
    )
    found = scenario_files.load_scenario(str(path))
    assert isinstance(found, PythonScenario)
    assert found.directory == tmp_path / "code"
    assert scenario_files.parsed(found.for_worker) == found
