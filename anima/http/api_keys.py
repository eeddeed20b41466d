"""Says who may use the service: a key in the header of each request, known here by its hash alone.

A key is 256 random bits, which nobody can guess from a hash, so SHA-256 is enough: slow hashes such as scrypt protect
passwords that people choose, and would cost each request tens of milliseconds.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from anima.errors import InvalidInput
from anima.http.failures import decline

OPEN_PATHS: Final = frozenset({"/health", "/ready"})
"""What watches the service's process has no key, and learns nothing of memories."""

ENTRY: Final = re.compile(r"(?P<name>[\w.-]{1,50}):(?P<sha256>[0-9a-f]{64})")
UNAUTHORIZED: Final = HTTPException(
    401, "Send a valid key in the header: Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"}
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is for who asks, and is shown once; `entry` is for the service."""

    key: str
    entry: str


def new_key(name: str) -> NewKey:
    key = f"anima_{secrets.token_urlsafe(32)}"
    entry = f"{name}:{digest_of(key)}"
    read_keys(SecretStr(entry))
    return NewKey(key, entry)


def read_keys(entries: SecretStr | None) -> Mapping[str, str]:
    """Name to hash, of entries `name:sha256` with commas between. Raises `InvalidInput`, which quotes nothing."""
    keys: dict[str, str] = {}
    for number, entry in enumerate(entries.get_secret_value().split(",") if entries else (), 1):
        match = ENTRY.fullmatch(entry.strip())
        if match is None or match["name"] in keys:
            raise InvalidInput(
                f"API key number {number} is not an entry name:sha256 with a name of its own. "
                "`anima new-key NAME` makes a key and its entry."
            )
        keys[match["name"]] = match["sha256"]
    return keys


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """`digests` are names to hashes. The name of who asks is left in the request's state for what stands behind."""

    app: ASGIApp
    digests: Mapping[str, str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        name = self._name_of(Headers(scope=scope).get("authorization", ""))
        if name is None:
            await decline(Request(scope), UNAUTHORIZED)(scope, receive, send)
            return
        scope.setdefault("state", {})["client"] = name
        await self.app(scope, receive, send)

    def _name_of(self, authorization: str) -> str | None:
        """Compares with every hash, each in constant time, so that the time tells nothing of how near a guess is."""
        scheme, _, key = authorization.partition(" ")
        digest = digest_of(key.strip())
        names = [name for name, known in self.digests.items() if hmac.compare_digest(known, digest)]
        return names[0] if names and scheme.lower() == "bearer" else None
