"""The embedding server as the process that it is: over a socket, with its life tied to its parent's."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from anima.embeddings.hashing import hashed_vector
from harness.errors import ProvisioningError
from harness.measuring.servers.embedding_server import DIMENSIONS, EmbeddingFaults, embedding_server

PARENT = """
import asyncio, signal
from harness.measuring.servers.embedding_server import embedding_server

# A test run in the background has its children ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    async with embedding_server() as url:
        print(url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def ask(http: httpx.AsyncClient, url: str, text: str = "a") -> httpx.Response:
    return await http.post(f"{url}/api/embeddings", json={"model": "nomic-embed-text", "prompt": text})


async def test_it_answers_over_http_on_the_own_machine_only_and_ends_with_its_context() -> None:
    async with embedding_server() as url, httpx.AsyncClient() as http:
        assert urlsplit(url).hostname == "127.0.0.1"
        assert len((await ask(http, url)).json()["embedding"]) == DIMENSIONS
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", urlsplit(url).port)


async def test_modules_of_the_current_directory_are_not_its(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("select", "uvicorn", "harness"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__file__} was imported')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    async with embedding_server() as url, httpx.AsyncClient(trust_env=False) as http:
        assert (await ask(http, url)).status_code == 200


async def test_what_python_prints_before_it_is_not_its_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('3 packages')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with embedding_server() as url, httpx.AsyncClient(trust_env=False) as http:
        assert (await ask(http, url)).status_code == 200


async def test_several_run_at_once() -> None:
    async with embedding_server() as one, embedding_server() as other:
        assert one != other


async def test_its_vectors_come_from_the_embedder_at_an_import_path() -> None:
    async with (
        embedding_server(embedder="anima.embeddings.hashing:hashed_vector") as url,
        httpx.AsyncClient() as http,
    ):
        vector = (await ask(http, url, "Anna plays tennis.")).json()["embedding"]
    assert vector == hashed_vector("Anna plays tennis.").tolist()


async def test_an_embedder_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(ProvisioningError, match=r"did not start\. Its embedder nowhere:embed cannot be imported"):
        async with embedding_server(embedder="nowhere:embed"):
            pass


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        with pytest.raises(ProvisioningError, match=rf"cannot listen on 127\.0\.0\.1:{port} .*Choose another port"):
            async with embedding_server(port=port):
                pass


async def test_a_closed_connection_is_seen_as_one() -> None:
    async with embedding_server(faults=EmbeddingFaults(connection_closed=1.0)) as url, httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(http, url)


async def test_ctrl_c_in_a_terminal_does_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def start_noted(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **options))
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_noted)
    async with embedding_server():
        (process,) = started
        assert os.getsid(process.pid) != os.getsid(0)


async def test_a_hanging_request_is_never_answered_and_does_not_stop_the_others() -> None:
    async with embedding_server(faults=EmbeddingFaults(hang=1.0)) as url, httpx.AsyncClient() as http:
        hanging = asyncio.create_task(ask(http, url))
        assert (await http.get(f"{url}/api/tags")).status_code == 200
        assert not hanging.done()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_it_dies_with_its_parent_however_that_ends(end: signal.Signals) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert parent.stdout is not None
    port = urlsplit((await parent.stdout.readline()).decode().strip()).port
    parent.send_signal(end)
    await parent.wait()
    await _refuses_connections(port)


async def _refuses_connections(port: int | None) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)
