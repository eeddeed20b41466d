import asyncio
import json
import sysconfig
from pathlib import Path

import pytest

from harness.measuring.profilers._shared.senders import Senders
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profilers.python_stacks import PythonStacks, named
from harness.measuring.statements import count

HERE = Path(__file__).relative_to(Path(__file__).parents[5])


def frame(function: str, path: str, owner: str = "") -> str:
    return f"{function}\x00{path}\x0010\x01l12{f'{chr(1)}c{owner}' if owner else ''}"


def test_only_what_a_request_did_is_kept() -> None:
    frames = [frame("main", "/app/cli.py"), frame("perform", "/app/target.py"), frame("query", "/app/memory.py", "M")]
    assert list(named(frames, Senders())) == ["memory.py:M.query"]


def test_of_a_library_only_what_was_called_is_kept() -> None:
    installed = "/venv/lib/python3.11/site-packages/asyncpg"
    standard = f"{sysconfig.get_path('stdlib')}/asyncio/base_events.py"
    frames = [
        frame("perform", "/app/target.py"),
        frame("fetch", f"{installed}/pool.py", "Pool"),
        frame("fetch", f"{installed}/connection.py", "Connection"),
        frame("call", standard),
        frame("run", standard),
        "[await]\x00",
    ]
    kept = list(named(frames, Senders()))
    assert kept == ["asyncpg: Pool.fetch", "asyncio: call", "[await]"]


@pytest.mark.parametrize("installed", ["/venv/lib/python3.11/site-packages", "/usr/lib/python3/dist-packages"])
def test_what_is_measured_is_named_by_its_functions_though_it_is_installed_like_a_library(installed: str) -> None:
    """What else is installed stays a library, also where its name begins alike."""
    frames = [
        frame("perform", f"{installed}/harness/targets/anima.py"),
        frame("query", f"{installed}/anima/memory.py", "MemorySystem"),
        frame("fetch", f"{installed}/anima/database.py", "Session"),
        frame("fetch", f"{installed}/asyncpg/pool.py", "Pool"),
        frame("trace", f"{installed}/anima_tracing/spans.py"),
    ]
    assert list(named(frames, Senders(), frozenset({"anima"}))) == [
        "anima/memory.py:MemorySystem.query",
        "anima/database.py:Session.fetch",
        "asyncpg: Pool.fetch",
        "anima_tracing: trace",
    ]
    assert list(named(frames, Senders())) == [
        "anima: MemorySystem.query",
        "asyncpg: Pool.fetch",
        "anima_tracing: trace",
    ]


def test_what_has_no_file_is_no_code_of_the_system() -> None:
    frames = [
        frame("perform", "/app/target.py"),
        frame("handle", "/venv/lib/python3.11/site-packages/httpcore/pool.py", "Pool"),
        frame("_find_and_load", "<frozen importlib._bootstrap>"),
        frame("socket.send", "<built-in>"),
    ]
    assert list(named(frames, Senders())) == ["httpcore: Pool.handle", "python: _find_and_load"]


def test_a_semicolon_in_a_name_does_not_make_two_frames() -> None:
    assert list(named([frame("perform", "t.py"), frame("a;b", "/app/x.py")], Senders())) == ["x.py:a,b"]


class Waiting:
    """A target whose request waits for another function until it is told that time has passed."""

    async def perform(self) -> None:
        await self.slow_statement()

    async def slow_statement(self) -> None:
        await asyncio.sleep(0.02)


async def test_waiting_belongs_to_what_is_awaited_and_files_are_left_for_other_tools(tmp_path: Path) -> None:
    subject = ProfiledOperation("naive (control)", "query", 2, tmp_path / "profiles", "postgresql://nowhere", "none")
    async with PythonStacks().observe(subject) as observed:
        await Waiting().perform()
    (stack,) = (stack for stack in observed["stacks"] if stack.endswith("[await]"))
    assert "Waiting.slow_statement" in stack
    assert observed["stacks"][stack] >= 0.02
    folded, html, speedscope = sorted((tmp_path / "profiles").iterdir(), key=lambda path: path.suffixes)[:3]
    files = {"".join(path.suffixes): path for path in (folded, html, speedscope)}
    assert set(files) == {".folded", ".html", ".speedscope.json"}
    assert {path.name.partition(".")[0] for path in files.values()} == {"naive-control-query-2"}
    (line,) = (
        line for line in files[".folded"].read_text().splitlines() if "slow_statement" in line and "await" in line
    )
    assert int(line.rpartition(" ")[2]) >= 20_000
    assert json.loads(files[".speedscope.json"].read_text())["profiles"]


class Sending:
    """A target that sends two statements from one function, each through the runner of all statements."""

    async def perform(self) -> None:
        await self.record()

    async def record(self) -> None:
        for _ in range(2):
            await self.run("access.raise_phi", 0.02)
        await self.run("access.log", 0.02)

    async def run(self, statement: str, wait_s: float) -> None:
        answered = asyncio.Event()
        asyncio.get_running_loop().call_later(wait_s, answered.set)
        await answered.wait()
        count(statement, elapsed_s=wait_s, rows=0, control=False)


async def test_the_wait_for_a_statement_has_its_name(tmp_path: Path) -> None:
    subject = ProfiledOperation("naive", "query", 1, tmp_path / "profiles", "postgresql://nowhere", "none")
    async with PythonStacks().observe(subject) as observed:
        await Sending().perform()
    record, run = (f"{HERE}:Sending.{name}" for name in ("record", "run"))
    waits = {stack: time_s for stack, time_s in observed["stacks"].items() if stack.endswith("[await]")}
    assert list(waits) == [
        f"{record};{run};SQL {name};asyncio: Event.wait;[await]" for name in ("access.raise_phi", "access.log")
    ]
    raised_s, logged_s = waits.values()
    assert (raised_s >= 0.04, logged_s >= 0.02) == (True, True)


async def test_what_is_told_outside_of_a_request_names_nothing() -> None:
    senders = Senders()
    senders.note("queue")
    assert senders.statement([]) is None
    assert senders.statement([frame("run", "/app/x.py")]) is None
