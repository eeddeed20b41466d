"""What execution does when a run fails."""

from pathlib import Path
from typing import cast

import pytest

from harness.execution import LOG_FILE, keeping_log
from harness.provisioners.protocol import Server


class Talkative:
    """A server that has only a log."""

    def __init__(self, log: str) -> None:
        self._log = log

    async def log(self) -> str:
        return self._log


async def run(log: str, directory: Path, failure: type[BaseException] | None) -> None:
    async with keeping_log(cast("Server", Talkative(log)), directory):
        if failure:
            raise failure


async def test_the_log_of_a_failed_run_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await run("FATAL: out of memory", tmp_path, ZeroDivisionError)
    assert (tmp_path / LOG_FILE).read_text(encoding="utf-8") == "FATAL: out of memory"


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_a_server_without_a_log_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await run("", tmp_path, ZeroDivisionError)
    assert not files_in(tmp_path)


async def test_a_run_that_succeeds_leaves_no_file(tmp_path: Path) -> None:
    await run("LOG: ready", tmp_path, None)
    assert not files_in(tmp_path)
