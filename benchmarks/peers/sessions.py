"""What a connection string has every session of a peer set, where the peer has no setting of its own for it."""

from urllib.parse import quote

from peers.bare_asyncpg import SETTINGS


def with_settings(url: str) -> str:
    """As libpq reads it."""
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    return f"{url}{'&' if '?' in url else '?'}options={quote(options)}"
