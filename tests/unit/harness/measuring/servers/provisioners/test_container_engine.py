"""What is asked of a container engine that is not there, or says nothing."""

import gc
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners import engine_answers
from harness.measuring.servers.provisioners._shared import engine

containers = pytest.importorskip("harness.measuring.servers.provisioners.testcontainers", exc_type=ImportError)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which connections are taken and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_an_engine_that_is_away_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    opened: list[socket.socket] = []
    create = socket.socket

    def remembered(*arguments: object, **options: object) -> socket.socket:
        opened.append(create(*arguments, **options))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(socket, "socket", remembered)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert not containers.engine_answers()
        gc.collect()
    assert opened
    assert all(connection.fileno() == -1 for connection in opened)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:port", "tcp://[::1", "ssh://127.0.0.1:99999"])
def test_an_address_that_is_none_is_no_engine(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(ProvisioningError, match=r"No container engine answers \([^)]+\).*DOCKER_HOST"):
        containers._engine()


@pytest.mark.parametrize("scheme", ["tcp", "http", "https", "ssh"])
def test_an_engine_that_says_nothing_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch, silent_port: int, scheme: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"{scheme}://127.0.0.1:{silent_port}")
    monkeypatch.setattr(engine, "ENGINE_TIMEOUT_S", 0.05)
    with pytest.raises(ProvisioningError, match=r"No container engine answers \(timed out\).*--database embedded"):
        containers._engine()


def test_an_engine_that_says_nothing_is_asked_before_its_client_is_imported(
    monkeypatch: pytest.MonkeyPatch, silent_port: int
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent_port}")
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(engine, "ENGINE_TIMEOUT_S", 0.05)
    monkeypatch.setitem(sys.modules, containers.__name__, None)
    assert engine.is_away()
    assert not engine_answers()
