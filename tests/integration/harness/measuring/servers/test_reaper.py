"""What a child holds for this process ends when the block or the process does, and not before."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.reaper import outliving
from tests.waiting import until

CONTEXTS = """
from contextlib import contextmanager
from pathlib import Path

from harness.errors import ProvisioningError

@contextmanager
def held(path):
    Path(path).touch()
    yield
    Path(path).unlink()

@contextmanager
def refused(path):
    raise ProvisioningError("There is no such thing.")
    yield

@contextmanager
def broken(path):
    raise ZeroDivisionError("by zero")
    yield

@contextmanager
def ending(path):
    yield lambda: f"What was at {path} ended by itself."

@contextmanager
def kept(path):
    yield
    raise ProvisioningError("It would not go.")
"""
PROCESS = """
import asyncio, sys
from harness.measuring.servers.reaper import outliving

async def main():
    async with outliving("contexts:held", path=sys.argv[1]):
        print("entered", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `contexts:held` makes. The child finds that module where this process would."""
    (tmp_path / "contexts.py").write_text(CONTEXTS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "held"


def is_there(path: Path) -> bool:
    return path.exists()


async def test_it_is_there_in_the_block_and_gone_after_it(path: Path) -> None:
    async with outliving("contexts:held", path=str(path)):
        assert is_there(path)
    assert not is_there(path)


async def test_what_python_prints_before_it_is_not_its_word(path: Path) -> None:
    path.with_name("sitecustomize.py").write_text("print('a Python of ours')", encoding="utf-8")
    async with outliving("contexts:ending", path=str(path)) as ended:
        assert await ended() == f"What was at {path} ended by itself."


async def test_it_is_gone_after_an_exception_which_goes_on(path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with outliving("contexts:held", path=str(path)):
            raise ZeroDivisionError
    assert not is_there(path)


async def test_what_cannot_be_entered_says_why(path: Path) -> None:
    with pytest.raises(ProvisioningError, match=r"^There is no such thing\.$"):
        await outliving("contexts:refused", path=str(path)).__aenter__()


async def test_a_failure_that_nobody_foresaw_is_a_sentence_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(path.parent))
    with pytest.raises(ProvisioningError, match=r"^An unexpected failure, ZeroDivisionError: by zero\. Its") as error:
        await outliving("contexts:broken", path=str(path)).__aenter__()
    (log,) = path.parent.glob("harness-*.log")
    assert str(log) in str(error.value)


async def test_what_ends_by_itself_is_told_while_it_is_held(path: Path) -> None:
    async with outliving("contexts:ending", path=str(path)) as ended:
        assert await ended() == f"What was at {path} ended by itself."


async def test_what_cannot_be_left_says_why(path: Path) -> None:
    with pytest.raises(ProvisioningError, match=r"^It would not go\.$"):
        async with outliving("contexts:kept", path=str(path)):
            pass


async def test_what_cannot_be_left_after_a_failure_is_said_beside_it(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with outliving("contexts:kept", path=str(path)):
            raise ZeroDivisionError
    assert capsys.readouterr().err == "It would not go.\n"


def reaper() -> psutil.Process:
    """The only child that is one: this process may also hold the session's server."""
    (child,) = (child for child in psutil.Process().children() if "harness.measuring.servers.reaper" in child.cmdline())
    return child


async def test_its_arguments_are_on_no_command_line(path: Path) -> None:
    async with outliving("contexts:held", path=str(path)):
        child = reaper()
        assert str(path) not in " ".join(child.cmdline())


async def kill_the_child_within(path: Path) -> None:
    async with outliving("contexts:held", path=str(path)):
        reaper().kill()


async def test_a_killed_child_is_said(path: Path) -> None:
    with pytest.raises(ProvisioningError, match="harness clean"):
        await kill_the_child_within(path)


async def test_it_is_gone_after_its_process_was_killed(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(path.parent), *filter(None, sys.path)))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, str(path), stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"entered\n"
    assert is_there(path)
    process.kill()
    await process.wait()

    async def gone() -> bool:
        return not is_there(path)

    await until(gone)
