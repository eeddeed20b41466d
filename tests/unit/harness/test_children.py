"""What a process that the harness starts inherits, and what it imports."""

import asyncio
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from harness import children

OF_HOOKS = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_COMMON_DIR")
OF_CLIENTS = ("PGHOST", "PGPORT", "PGSSLMODE", "PGSERVICE", "PGOPTIONS", "PGPASSFILE", "PGTARGETSESSIONATTRS")
OF_THE_USER = ("GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_GLOBAL", "DOCKER_HOST")


def test_a_child_inherits_what_is_the_users_and_not_what_is_meant_for_other_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (*OF_HOOKS, *OF_CLIENTS, *OF_THE_USER, "PYTHONINSPECT", "HTTP_PROXY"):
        monkeypatch.setenv(name, "x")
    made = children.environment(PGPASSWORD="stated")
    assert made.keys() & {*OF_HOOKS, *OF_CLIENTS, "PYTHONINSPECT"} == set()
    assert made.keys() >= {*OF_THE_USER, "HTTP_PROXY", "PATH"}
    assert made["PGPASSWORD"] == "stated"


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "SSL_CERT_FILE"])
def test_what_talks_to_this_machine_alone_inherits_nothing_of_the_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "socks5://[::1]:9")
    assert name in children.environment()
    assert name not in children.local_environment()


@pytest.fixture
def shadows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current directory has modules with the names of others, which fail when they are imported."""
    for name in ("select", "asyncio", "uvicorn", "harness", "anima"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__file__} was imported')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # An entry of the path that is empty is the current directory, as the test runner's may be.
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])


@pytest.mark.usefixtures("shadows")
def test_a_python_imports_what_this_one_would_and_nothing_from_the_current_directory() -> None:
    command = children.python("-c", "import select, asyncio, uvicorn, harness; print(harness.__file__)")
    environment = children.environment(**children.modules_of_ours())
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(Path(children.__file__).with_name("__init__.py")), done.stderr


async def test_what_a_sitecustomize_prints_is_not_taken_for_what_the_child_says(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('corporate Python, ready')", encoding="utf-8")
    child = await asyncio.create_subprocess_exec(
        *children.python("-c", "print('ready')"),
        env=children.environment(PYTHONPATH=str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    assert await children.line_beginning(child.stdout, b"ready") == b"ready\n"
    assert await children.line_beginning(child.stdout, b"ready") == b"", "it has said all"
    assert await child.wait() == 0


@pytest.mark.usefixtures("shadows")
def test_processes_of_a_pool_import_nothing_from_the_current_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with children.spawning(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert processes.submit(abs, -1).result() == 1
    assert "PYTHONSAFEPATH" not in children.environment()
