"""Texts without what only their owner may read: whatever a run stores, logs or says of a failure goes through here.

Not what keeps secrets out of a scenario, which its own checks refuse: this is for texts that others wrote.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

HIDDEN: Final = "…"
WORDS: Final = r"pass(?:word|wd|phrase)|pgpassword|secret|token|(?:api|access|private|service)[_-]?keys?|credentials?"

CREDENTIALS: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)([^\s'\"<>]*)@")
"""What stands before the host of a URL; a password may contain anything, unencoded as it often is."""

PLACEHOLDER: Final = r"\{[A-Za-z_][\w.-]*\}"
"""It names where a secret comes from, and is none."""
NO_PLACEHOLDER: Final = rf"(?![\"']?{PLACEHOLDER}(?:$|[\s,;&\"'}}\]]))"

STATED: Final = re.compile(rf"(?i)((?:{WORDS})[\"']?\s*[=:]\s*)(?!\s){NO_PLACEHOLDER}(\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)")
BEARER: Final = re.compile(rf"(?i)(\bbearer\s+)(?!\s){NO_PLACEHOLDER}[^\s'\"]+")
SECRET_NAME: Final = re.compile(rf"(?i){WORDS}|conninfo|_key$")
LENGTH_MIN: Final = 6
"""A shorter value of the environment is a word like any other."""


def without_secrets(text: str) -> str:
    """Credentials in URLs, `password=…` and its like, and the values of the environment's secrets become `…`."""
    for secret in sorted(environment_secrets(os.environ), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = CREDENTIALS.sub(_without_credentials, text)
    text = STATED.sub(rf"\1{HIDDEN}", text)
    return BEARER.sub(rf"\1{HIDDEN}", text)


def _without_credentials(found: re.Match[str]) -> str:
    """The bare name of a database's user is none; before a web server's host it may be a token."""
    scheme, credentials = found.groups()
    return found[0] if ":" not in credentials and not scheme.lower().startswith("http") else f"{scheme}{HIDDEN}@"


def all_without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same for every text in it, and for each whose key says that it is a secret."""
    return {
        key: HIDDEN
        if isinstance(value, str) and SECRET_NAME.search(key) and not names_another(value)
        else _hidden_in(value)
        for key, value in document.items()
    }


def names_another(value: str) -> bool:
    """Says whether it is a placeholder, with a scheme before it at most, as in `Bearer {env.API_KEY}`."""
    return re.fullmatch(rf"(?i)(?:(?:bearer|basic|token) )?{PLACEHOLDER}", value) is not None


def _hidden_in(value: object) -> object:
    match value:
        case str():
            return without_secrets(value)
        case Mapping():
            return all_without_secrets(cast("Mapping[str, Any]", value))
        case list() | tuple():
            return [_hidden_in(inner) for inner in cast("Sequence[object]", value)]
        case _:
            return value


def environment_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """Values under a secret's name, and the passwords of URLs under any."""
    for name, value in environment.items():
        if SECRET_NAME.search(name) and len(value) >= LENGTH_MIN:
            yield value
        for credentials in re.findall(r"://[^:/@\s]*:(\S+)@", value):
            if len(credentials) >= LENGTH_MIN:
                yield credentials
