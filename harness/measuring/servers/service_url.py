"""The address of a service that runs already: what a scenario may say of it, and the key that a service asks for.

A run's record keeps the address, so nothing secret stands in it; a key comes from the environment.
"""

import os
from typing import Final
from urllib.parse import urlsplit

from harness.errors import UsageError

KEY_VARIABLE: Final = "HARNESS_SERVICE_KEY"


def plain(stated: str) -> str:
    """The address without a slash at its end: paths stand below it. Raises `ValueError`, which repeats no password."""
    url = stated.strip()
    if "@" in url:
        raise ValueError(
            "the URL contains credentials, which the run's record would keep. Leave them out; an API key comes from "
            f"the environment variable {KEY_VARIABLE}"
        )
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise ValueError(f"a service's URL begins with http:// or https://, as in http://{rest or url}")
    if "?" in url or "#" in url:
        raise ValueError("the URL has a part behind ? or #, and paths are put behind a URL. Leave that part out")
    try:
        parts = urlsplit(url)
        reachable = bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:
        reachable = False
    if not reachable or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} names no host and port, as http://127.0.0.1:7100 and http://[::1]:7100 do")
    return url.rstrip("/")


def key_header() -> dict[str, str]:
    """Says what a service with API keys is sent; nothing where the environment has no key. Raises `UsageError`."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return {}
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"{KEY_VARIABLE} holds what no header can carry: it is one line of ASCII characters.")
    return {"Authorization": f"Bearer {key}"}
