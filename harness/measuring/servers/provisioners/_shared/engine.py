"""Says whether a container engine is there at all: asked with nothing but a socket, before its client is imported."""

import os
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

ENGINE_PORT: Final = 2375
SSH_PORT: Final = 22
ENGINE_TIMEOUT_S: Final = 3.0
PROPERTIES: Final = "~/.testcontainers.properties"
"""Where testcontainers may be told of another engine than DOCKER_HOST's."""


def is_away() -> bool:
    """Says whether DOCKER_HOST is what would be used, and nothing answers there."""
    stated = os.environ.get("DOCKER_HOST")
    if not stated or Path(os.path.expanduser(PROPERTIES)).exists():  # noqa: PTH111 -- a user may have no home.
        return False
    try:
        listening(stated)
    except ValueError:  # Not an address: its client says so.
        return False
    except OSError:
        return True
    return False


def listening(engine: str) -> None:
    """Raises `OSError` where nothing at the address says a word within `ENGINE_TIMEOUT_S`.

    Asked first, since the engine's own client leaves a socket open where it cannot connect, and waits a minute for an
    engine that is silent. Over SSH only silence counts: a name may be one that its client alone knows.
    """
    address = urlsplit(engine)
    family: socket.AddressFamily = socket.AF_INET
    place: str | tuple[str, int]
    match address.scheme:
        case "unix" | "http+unix":
            family, place = socket.AF_UNIX, engine.partition("://")[2]
        case "tcp" | "http" | "https" if address.hostname:
            family = socket.AF_INET6 if ":" in address.hostname else socket.AF_INET
            place = (address.hostname, address.port or ENGINE_PORT)
        case "ssh" if address.hostname:
            place = (address.hostname, address.port or SSH_PORT)
        case _:
            return
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(ENGINE_TIMEOUT_S)
            connection.connect(place)
            if address.scheme != "ssh":  # There the server speaks first.
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            connection.recv(1)
    except OSError as error:
        if address.scheme != "ssh" or isinstance(error, TimeoutError):
            raise
