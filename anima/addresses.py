"""URLs of PostgreSQL: which are understood, and what may be said of one where others read it.

Of a URL that is not understood nothing is repeated: where the password in it ends, nobody knows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlencode

from anima.errors import InvalidInput

NAMED_BY: Final = "The database URL (ANIMA_DATABASE_URL or --database-url)"

# One character, or one that is percent-encoded. What delimits the parts of a URL has to be.
CHARACTER: Final = r"(?:[^\s/?#\[\]@:%]|%[0-9A-Fa-f]{2})"
HOST: Final = rf"(?:\[[0-9A-Fa-f:.]+(?:%25\w+)?\]|(?:(?!,){CHARACTER})+)(?::\d+)?"
HOSTS: Final = rf"{HOST}(?:,{HOST})*"
URL: Final = re.compile(
    rf"postgres(?:ql)?://(?:(?P<user>{CHARACTER}*)(?::(?P<password>(?:{CHARACTER}|:)*))?@)?(?P<hosts>{HOSTS})?"
    rf"(?:/(?P<database>(?:{CHARACTER}|:)*))?(?:\?(?P<query>(?:[^\s#@%]|%[0-9A-Fa-f]{{2}})*))?"
)
HOSTS_OR_SOCKET: Final = re.compile(rf"/[^,]*|{HOSTS}")
PORTS: Final = re.compile(r"(?<=:)\d+(?=,|$)")
PORT_MAX: Final = 65_535

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    "channel_binding": ("disable", "prefer"),
}
FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
TEXTS: Final = (
    *("host", "port", "user", "password", "dbname", "database", "passfile", "service", "sslpassword"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
    *("connect_timeout", "application_name", "options", "search_path"),
)
OURS: Final = frozenset({"connect_timeout", "channel_binding"})
"""Parameters of PostgreSQL's own programs that asyncpg would send to the server as settings."""


@dataclass(frozen=True, slots=True)
class Address:
    """A URL that was understood. Its `location` may be shown; `dsn`, which asyncpg is told, may not."""

    location: str
    dsn: str = field(repr=False)
    has_password: bool
    connect_timeout_s: float | None


def address_of(url: str) -> Address:
    """Raises `InvalidInput`, which repeats nothing that may be part of a password."""
    found = _understood(url)
    stated = _parameters(found["query"] or "")
    hosts = unquote(found["hosts"] or "") or stated.get("host", "")
    _refuse_wrong_place(hosts, stated)
    database = unquote(found["database"] or "") or stated.get("dbname") or stated.get("database", "")
    options = {name: value for name, value in stated.items() if name not in OURS}
    options.setdefault("application_name", "anima")
    if "," in hosts and not hosts.startswith("/"):
        options.setdefault("target_session_attrs", "read-write")
    place = url.partition("?")[0]
    if found["hosts"] and "," in hosts and "[" in hosts:
        # Python's own parser, which asyncpg asks, refuses the brackets of an address after another host.
        options.setdefault("host", hosts)
        place = place[: found.start("hosts")] + place[found.end("hosts") :]
    return Address(
        location=_location(hosts, stated.get("port"), database),
        dsn=f"{place}?{urlencode(options, quote_via=quote)}",
        has_password=bool(found["password"]) or "password" in stated,
        connect_timeout_s=_seconds(stated.get("connect_timeout")),
    )


def _understood(url: str) -> "re.Match[str]":
    if not re.match("postgres(?:ql)?://", url):
        _refuse("does not begin with postgresql://", "It looks like postgresql://user@host:5432/database.")
    found = URL.fullmatch(url)
    if found is None or "%00" in url:
        _refuse(
            "cannot be read",
            "A character with a meaning in URLs has to be encoded where it is part of a name or a password: "
            "/ as %2F, @ as %40, : as %3A, # as %23, ? as %3F, [ as %5B, ] as %5D, % as %25, a space as %20.",
        )
    return found


def _parameters(query: str) -> dict[str, str]:
    try:
        stated = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        _refuse("has a parameter without a value", "After the ? come pairs such as sslmode=require, with & between.")
    for name, value in stated.items():
        # After a password with a & in it, what looks like a name is part of that.
        _refuse_wrong_parameter(name, value, shown="" if "password" in stated else f" {name!r}")
    return {name: value for name, value in stated.items() if value}


def _refuse_wrong_parameter(name: str, value: str, *, shown: str) -> None:
    if name == "channel_binding" and value == "require":
        _refuse(
            "asks for channel_binding=require, which the driver (asyncpg) cannot do",
            "Leave it out. With sslmode=verify-full the server is still known for what it is.",
        )
    if name in CHOICES:
        if value not in CHOICES[name]:
            _refuse(f"states no {name} that there is", f"There are: {', '.join(CHOICES[name])}.")
    elif name in FILES:
        if not Path(value).is_file():
            _refuse(f"names a file as {name} that is not there", "Name one that this user can read.")
    elif name not in TEXTS:
        _refuse(
            f"has a parameter{shown} that is unknown",
            f"Known are {', '.join((*TEXTS, *CHOICES, *FILES))}. A setting of the server is given by "
            "options=-c%20name%3Dvalue.",
        )


def _refuse_wrong_place(hosts: str, stated: Mapping[str, str]) -> None:
    ports = [*PORTS.findall(hosts), *stated.get("port", "").split(",")]
    if not all(port == "" or (port.isdecimal() and 0 < int(port) <= PORT_MAX) for port in ports):
        _refuse("names a port that there is not", f"Ports go from 1 to {PORT_MAX}.")
    if "host" in stated and not HOSTS_OR_SOCKET.fullmatch(stated["host"]):
        _refuse("has a host that cannot be read", "It is a name, an address, or the directory of a socket.")


def _location(hosts: str, port: str | None, database: str) -> str:
    if hosts.startswith("/"):
        return f"the socket in {hosts}" + (f", database {database}" if database else "")
    with_port = f"{hosts}:{port}" if hosts and port and not PORTS.search(hosts) else hosts
    return f"{with_port or 'the local socket'}/{database}"


def _seconds(connect_timeout: str | None) -> float | None:
    """As PostgreSQL's own programs read it: whole seconds, and none or fewer are no limit."""
    if connect_timeout is None:
        return None
    if not re.fullmatch(r"-?\d+", connect_timeout):
        _refuse("has a connect_timeout that is no number of seconds", "Write for example connect_timeout=10.")
    return float(connect_timeout) if int(connect_timeout) > 0 else None


def _refuse(what: str, then: str) -> NoReturn:
    raise InvalidInput(f"{NAMED_BY} {what}. {then}")
