import asyncio
import json
import sysconfig
from pathlib import Path

from harness.profilers.protocol import Subject
from harness.profilers.python_stacks import PythonStacks, named


def frame(function: str, path: str, owner: str = "") -> str:
    return f"{function}\x00{path}\x0010\x01l12{f'{chr(1)}c{owner}' if owner else ''}"


def test_only_what_a_request_did_is_kept() -> None:
    frames = [frame("main", "/app/cli.py"), frame("perform", "/app/target.py"), frame("query", "/app/memory.py", "M")]
    assert list(named(frames)) == ["memory.py:M.query"]


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
    kept = list(named(frames))
    assert len(kept) == 3
    assert kept[0].endswith("asyncpg/pool.py:Pool.fetch")
    assert kept[1].endswith("base_events.py:call")
    assert kept[2] == "[await]"


def test_a_semicolon_in_a_name_does_not_make_two_frames() -> None:
    assert list(named([frame("perform", "t.py"), frame("a;b", "/app/x.py")])) == ["x.py:a,b"]


class Waiting:
    """A target whose request waits for another function until it is told that time has passed."""

    async def perform(self) -> None:
        await self.slow_statement()

    async def slow_statement(self) -> None:
        await asyncio.sleep(0.02)


async def test_waiting_belongs_to_what_is_awaited_and_files_are_left_for_other_tools(tmp_path: Path) -> None:
    subject = Subject("naive (control)", "query", 2, tmp_path / "profiles", "postgresql://nowhere", "none")
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
