"""What a connection string has every session of a peer set, where the peer has no setting of its own for it."""

from urllib.parse import quote

from peers.common import Setup


def with_settings(setup: Setup) -> str:
    """As libpq reads it."""
    options = " ".join(f"-c {name}={value}" for name, value in setup.hnsw.items())
    return f"{setup.url}{'&' if '?' in setup.url else '?'}options={quote(options)}"
