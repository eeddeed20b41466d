"""URLs of PostgreSQL: what they may say where others read them, and what a connection adds from elsewhere.

A password comes from where PostgreSQL's own programs take it: PGPASSWORD, or a line of the file that PGPASSFILE
names (~/.pgpass unless stated). So it stands on no command line, in no scenario and in no report.
"""

import getpass
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from harness.errors import UsageError

SCHEMES: Final = ("postgresql", "postgres")
URL: Final = re.compile(rf"({'|'.join(SCHEMES)})://\S*")
PORT: Final = 5432
ESCAPED: Final = re.compile(r"\\(.)")
FIELD: Final = re.compile(r"((?:\\.|[^:\\])*)(?::|$)")
"""A field of a password file: `\\:` and `\\\\` stand for themselves."""


def is_url(text: str) -> bool:
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def refuse_password(url: str) -> None:
    """Raises `ValueError`, which does not repeat it."""
    if urlsplit(url).password is not None or "password" in parse_qs(urlsplit(url).query):
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
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or PORT}"


def completed(url: str) -> str:
    """`url` with its user, password, port and database, from the environment and the password file where it has none.

    Raises `UsageError` when it names no host.
    """
    parts = urlsplit(url)
    if not is_url(url) or not parts.hostname:
        raise UsageError("The URL of a database looks like postgresql://user@host:5432/database.")
    port = parts.port or PORT
    user = unquote(parts.username) if parts.username else os.environ.get("PGUSER") or getpass.getuser()
    database = unquote(parts.path.removeprefix("/")) or "postgres"
    password = unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD")
    if password is None:
        password = _from_password_file(parts.hostname, str(port), database, user)
    credentials = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return with_database(urlunsplit(parts._replace(netloc=f"{credentials}@{host}:{port}")), database)


def _from_password_file(*connection: str) -> str | None:
    """The password of the first line whose host, port, database and user are the connection's, or `*`."""
    path = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = [ESCAPED.sub(r"\1", field) for field in FIELD.findall(line)[:5]]
        matches = len(fields) == 5 and not line.startswith("#")  # noqa: PLR2004 -- the format's own number
        if matches and all(said in {"*", is_} for said, is_ in zip(fields, connection, strict=False)):
            return fields[4]
    return None
