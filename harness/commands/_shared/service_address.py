"""Tells what `--url` says of a service that is to be asked."""

from harness.errors import UsageError
from harness.measuring.servers.service_url import plain


def service_address(url: str | None) -> str | None:
    """As a scenario may keep it. Raises `UsageError`, which repeats no password."""
    try:
        return plain(url) if url is not None else None
    except ValueError as error:
        raise UsageError(f"--url: {error}.") from None
