"""Hosts of a dask cluster that somebody runs: `--workers tls://10.0.0.5:8786`, or `tcp://127.0.0.1:8786`.

Its scheduler and its workers execute what they are sent, so beyond this machine each side has to show a certificate.
"""

from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.measuring.hosts.protocol import HostsOpened

OPEN_ANYWAY: Final = "distributed.comm.require-encryption"
"""The setting of dask's whose False says that a network may be trusted."""

CERTIFICATES: Final = "docs/how-to/cluster.md says how to make certificates"

SETTINGS_OF_CERTIFICATES: Final = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__CLIENT__CERT and …__CLIENT__KEY"


class RunningCluster:
    """The kind of hosts that an address of this scheme names."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def check(self, rest: str) -> None:
        parts = urlsplit(f"{self._scheme}:{rest}")
        wanted = parts.path.removeprefix("/")
        if not parts.hostname or parts.port is None or not (wanted == "" or (wanted.isdecimal() and int(wanted))):
            raise ValueError(
                f"{self._scheme}:{rest} is no address of a dask scheduler, such as tls://10.0.0.5:8786, or "
                "tls://10.0.0.5:8786/4 to wait for 4 workers"
            )

    @asynccontextmanager
    async def open(self, rest: str) -> HostsOpened:
        from dask import config  # noqa: PLC0415 -- of an extra, and slow to import.

        from harness.measuring.hosts._shared.dask_hosts import connected  # noqa: PLC0415

        stated = urlsplit(f"{self._scheme}:{rest}")
        settings: Any = config
        address, wanted = f"{self._scheme}://{stated.netloc}", int(stated.path.removeprefix("/") or 1)
        if self._scheme == "tls":
            security = _certificates_for(address)
        elif not is_loopback(urlsplit(address).hostname or "") and settings.get(OPEN_ANYWAY) is not False:
            raise UsageError(
                f"Hosts at {address} would execute what anybody in that network sends them. Use tls:// "
                f"({CERTIFICATES}), or trust the network: DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=False."
            )
        else:
            security = None
        async with connected(address, security, address, wanted) as hosts:
            yield hosts


def _certificates_for(address: str) -> Any:  # noqa: ANN401 -- dask's, which is not typed
    """Those that dask's settings name. Raises `UsageError` where they are none, or cannot be used."""
    from distributed import Security  # noqa: PLC0415

    making: Any = Security
    security = making(require_encryption=True)
    if not (security.tls_ca_file and security.tls_client_cert):
        raise UsageError(
            f"{address} wants a certificate of this side. Name it in {SETTINGS_OF_CERTIFICATES}; {CERTIFICATES}."
        )
    try:
        security.get_connection_args("client")
    except OSError as error:
        paths = dict.fromkeys((security.tls_ca_file, security.tls_client_cert, security.tls_client_key))
        named = ", ".join(str(path) for path in paths if path)
        raise UsageError(
            f"The certificates for {address} cannot be used ({error.strerror or error}): {named}. "
            f"Correct {SETTINGS_OF_CERTIFICATES}; {CERTIFICATES}."
        ) from None
    return security


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
