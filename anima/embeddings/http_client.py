"""The HTTP client for one server: directly or through a proxy, and with which certificates, as the environment has it.

httpx reads all variables at once, and fails over one that has nothing to do with the server: a NO_PROXY with an IPv6
address, where there is no proxy, or certificates for an address without TLS. Here each is read where it is needed.
"""

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import httpx

from anima.errors import InvalidInput
from anima.loopback import is_loopback


def client_of(
    url: httpx.URL,
    *,
    proxied: bool,
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Raises `InvalidInput` when a variable that is needed cannot be used."""
    proxy = proxy_of(url) if proxied else None
    try:
        verify = httpx.create_ssl_context(trust_env=url.scheme == "https")
    except OSError as error:
        raise InvalidInput(
            f"The certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be used for {_shown(url)} "
            f"({error.strerror or type(error).__name__}). Correct the variable, or unset it."
        ) from None
    try:
        return httpx.AsyncClient(headers=headers, transport=transport, proxy=proxy, verify=verify, trust_env=False)
    except ImportError:
        raise InvalidInput(
            f"A SOCKS proxy is named for {_shown(url)}, and the package socksio, which that needs, is not installed. "
            f"Install it, name an HTTP proxy in HTTPS_PROXY, or add {url.host} to NO_PROXY."
        ) from None
    except (ValueError, httpx.InvalidURL):
        raise InvalidInput(
            f"The proxy that is named for {_shown(url)} is no address that can be used. "
            f"Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or add {url.host} to NO_PROXY."
        ) from None


def proxy_of(url: httpx.URL) -> str | None:
    """The proxy that the environment names for the address, if any; there is none for this machine's own."""
    if is_loopback(url.host) or url.host in ("0.0.0.0", "::") or proxy_bypass(url.host):  # noqa: S104 -- no address to listen on
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _shown(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None))
