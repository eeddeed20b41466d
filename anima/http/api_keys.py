"""Says who may use the service: a key in the header of each request, known here by its hash alone.

A key is 256 random bits, which nobody can guess from a hash, so SHA-256 is enough: slow hashes such as scrypt protect
passwords that people choose, and would cost each request tens of milliseconds.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from anima.errors import InvalidInput
from anima.http.failures import decline
from anima.tenants import schemas_of

OPEN_PATHS: Final = frozenset({"/health", "/ready"})
"""What watches the service's process has no key, and learns nothing of memories."""

ENTRY: Final = re.compile(r"(?P<name>(?:(?P<tenant>[\w.-]*)/)?[\w.-]{1,50}):(?P<sha256>[0-9a-f]{64})")
UNAUTHORIZED: Final = HTTPException(
    401, "Send a valid key in the header: Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"}
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is for who asks, and is shown once; `entry` is for the service."""

    key: str
    entry: str


def new_key(name: str, tenant: str | None = None) -> NewKey:
    key = f"anima_{secrets.token_urlsafe(32)}"
    entry = f"{name if tenant is None else f'{tenant}/{name}'}:{digest_of(key)}"
    read_keys(SecretStr(entry))
    return NewKey(key, entry)


def read_keys(entries: SecretStr | None) -> Mapping[str, str]:
    """Name to hash, of entries `name:sha256` or `tenant/name:sha256` with commas between.

    Raises `InvalidInput`, which quotes nothing but the name of a tenant.
    """
    keys: dict[str, str] = {}
    for number, entry in enumerate(entries.get_secret_value().split(",") if entries else (), 1):
        match = ENTRY.fullmatch(entry.strip())
        if match is None or match["name"] in keys:
            raise InvalidInput(
                f"API key number {number} is not an entry name:sha256 with a name of its own. "
                "`anima new-key NAME` makes a key and its entry."
            )
        keys[match["name"]] = match["sha256"]
    tenants_of(keys)
    return keys


def tenants_of(names: Iterable[str]) -> tuple[str, ...]:
    """The tenants of all keys, each once; none where no key has one. Raises `InvalidInput` where only some have."""
    tenants = [tenant_of(name) for name in names]
    named = dict.fromkeys(tenant for tenant in tenants if tenant is not None)
    if named and None in tenants:
        raise InvalidInput(
            "Some API keys belong to a tenant, and some to none. Write tenant/name:sha256 for each "
            "(`anima new-key NAME --tenant TENANT`), or for none of them."
        )
    schemas_of(named)
    return tuple(named)


def tenant_of(name: str) -> str | None:
    tenant, slash, _ = name.partition("/")
    return tenant if slash else None


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
        scope.setdefault("state", {}).update(client=name, tenant=tenant_of(name))
        await self.app(scope, receive, send)

    def _name_of(self, authorization: str) -> str | None:
        """Compares with every hash, each in constant time, so that the time tells nothing of how near a guess is."""
        scheme, _, key = authorization.partition(" ")
        digest = digest_of(key.strip())
        names = [name for name, known in self.digests.items() if hmac.compare_digest(known, digest)]
        return names[0] if names and scheme.lower() == "bearer" else None
