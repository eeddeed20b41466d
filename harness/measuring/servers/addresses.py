"""URLs of PostgreSQL: what they may say where others read them, and what a connection adds from elsewhere.

A password comes from where PostgreSQL's own programs take it: PGPASSWORD, or a line of the file that PGPASSFILE
names (~/.pgpass unless stated). So it stands on no command line, in no scenario and in no report.
"""

import getpass
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from harness.errors import UsageError

SCHEMES: Final = ("postgresql", "postgres")
URL: Final = re.compile(rf"({'|'.join(SCHEMES)})://\S*")
PORT: Final = 5432
PLACE: Final = re.compile(r"(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?")
"""A host, or an address in brackets, and its port."""
ESCAPED: Final = re.compile(r"\\(.)")
FIELD: Final = re.compile(r"((?:\\.|[^:\\])*)(?::|$)")
"""A field of a password file: `\\:` and `\\\\` stand for themselves."""


FROM_ENVIRONMENT: Final[Mapping[str, str]] = {
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
"""Parameters of an address, and the variables that stand for them where it has none."""

OF_OTHER_CLIENTS: Final = frozenset(
    {
        *("channel_binding", "connect_timeout", "gssencmode", "hostaddr", "load_balance_hosts", "require_auth"),
        *("keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout"),
        *("connection_limit", "pgbouncer", "pool_timeout", "schema", "sslaccept", "statement_cache_size"),
    }
)
"""Parameters that libpq or an ORM knows and asyncpg does not, which would send them to the server as settings."""

UNREADABLE: Final = (
    "The URL of the database cannot be read. In its user and password the characters / ? # [ ] @ : % and spaces are "
    "written as %2F %3F %23 %5B %5D %40 %3A %25 %20, or the password is left out and stands in PGPASSWORD."
)
"""It repeats no part of the URL: any part may be the password's."""

EXAMPLE: Final = "The URL of a database looks like postgresql://user@host:5432/database."


def plain_parameters() -> str:
    """Tells what the address of a server of our own says, so that none takes it from the environment's PG variables.

    A client that is older than direct TLS does not know the last one.
    """
    direct = "&sslnegotiation=postgres" if "PGSSLNEGOTIATION" in os.environ else ""
    return f"sslmode=disable&target_session_attrs=any{direct}"


def parsed(url: str) -> SplitResult:
    """Raises `UsageError` for what another program would read otherwise."""
    if not is_url(url):
        raise UsageError(EXAMPLE)
    try:
        parts = urlsplit(url)
        _ = parts.port if "," not in parts.netloc.rpartition("@")[2] else None
        named = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise UsageError(UNREADABLE) from None
    # Before an unwritten `/`, `?` or `#` of a password stands what would be taken for the host.
    if parts.fragment or url.endswith("#") or "@" in parts.path or "@" in parts.query:
        raise UsageError(UNREADABLE)
    if "," in parts.netloc.rpartition("@")[2]:
        raise UsageError("The URL of the database names several hosts. Name the one that is to be measured.")
    if not parts.hostname:
        raise UsageError(EXAMPLE)
    for name in sorted(OF_OTHER_CLIENTS & named.keys()):
        raise UsageError(
            f"The URL of the database has the parameter `{name}`, which asyncpg does not know. Leave it out."
        )
    return parts


def is_url(text: str) -> bool:
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def refuse_password(url: str) -> None:
    """Raises `ValueError`, which does not repeat it."""
    try:
        parts = parsed(url)
    except UsageError as error:
        raise ValueError(str(error)) from None
    if parts.password is not None or "password" in parse_qs(parts.query):
        raise ValueError(
            "the URL contains a password, which others could read there. Put it into the environment variable "
            "PGPASSWORD or into ~/.pgpass (or the file that PGPASSFILE names), and leave it out of the URL"
        )


def redacted(text: str) -> str:
    """The text without who logs in and where, as in `--database=postgresql://u@h/d`."""
    return URL.sub(r"\1://…", text)


def with_database(url: str, name: str) -> str:
    """`url` with another database's name."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))


def address(url: str) -> str:
    """Where `url` leads, without its password."""
    return ",".join(f"{host}:{port}" for host, port in endpoints(url))


def endpoints(url: str) -> list[tuple[str, int]]:
    """The hosts and ports of a URL, of which there are several where a server may fail over."""
    # Not by `urlsplit`, which refuses the brackets of an address after another host, since Python 3.11.12 and 3.12.9.
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    places = [PLACE.fullmatch(place) for place in authority.rpartition("@")[2].split(",")]
    return [((place[1] or place[2]).lower(), int(place[3] or PORT)) if place else ("None", PORT) for place in places]


def completed(url: str) -> str:
    """`url` with its user, password, port, database and how to connect, from elsewhere where it has none.

    Elsewhere is the environment and the password file; no client needs to look there again.

    Raises `UsageError` when it names no host.
    """
    parts = parsed(url)
    assert parts.hostname is not None
    port = parts.port or PORT
    user = unquote(parts.username) if parts.username else os.environ.get("PGUSER") or _own_name()
    database = unquote(parts.path.removeprefix("/")) or "postgres"
    password = unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD")
    if password is None:
        password = _from_password_file(parts.hostname, str(port), database, user)
    credentials = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    query = urlencode(_from_environment(parts.query), safe="/:")
    return with_database(urlunsplit(parts._replace(netloc=f"{credentials}@{host}:{port}", query=query)), database)


def _own_name() -> str:
    """Raises `UsageError` where the user has none, as under a number that a container was given."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError(
            "The URL of the database names no user, and the user that runs this has no name. Write "
            "postgresql://user@host/database, or set PGUSER."
        ) from None


def _from_environment(query: str) -> dict[str, str]:
    """The parameters, with those that the environment states besides."""
    variables = {name: os.environ.get(variable) for name, variable in FROM_ENVIRONMENT.items()}
    return {name: value for name, value in variables.items() if value} | dict(parse_qsl(query))


def _from_password_file(*connection: str) -> str | None:
    """The password of the first line whose host, port, database and user are the connection's, or `*`."""
    try:
        path = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, RuntimeError, UnicodeDecodeError):  # The second where this user has no home.
        return None
    for line in lines:
        fields = [ESCAPED.sub(r"\1", field) for field in FIELD.findall(line)[:5]]
        matches = len(fields) == 5 and not line.startswith("#")  # noqa: PLR2004 -- the format's own number
        if matches and all(said in {"*", is_} for said, is_ in zip(fields, connection, strict=False)):
            return fields[4]
    return None
