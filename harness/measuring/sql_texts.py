"""The texts of SQL statements: taken apart, told from what is none, and compared without what differs each time."""

import re
from collections.abc import Iterator
from typing import Final

CONTROL: Final = re.compile(
    r"select\s+pg_advisory_unlock_all\(\)|(?:abort|begin|close|commit|deallocate|discard|end|listen"
    r"|prepare\s+transaction|release|reset|rollback|savepoint|set|show|start|unlisten)\b",
    re.IGNORECASE,
)
NAMED: Final = re.compile(r"(?:--|/\*)\s*name:\s*(\w+)")
COMMENTS: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'|(?<![\w$%:.\"])\d+(?:\.\d+)?\b")
_PLACEHOLDER: Final = r"(?:…|\?|%s|\$\d+|[%:]\(?\w+\)?s?)(?:::\w+)?"
_LIST: Final = re.compile(rf"\({_PLACEHOLDER}(?:, ?{_PLACEHOLDER})+\)")


def bare(sql: str) -> str:
    """Without the comments before it."""
    begin = COMMENTS.match(sql)
    return sql[begin.end() :] if begin else sql


_PART: Final = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|\$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$|(?P<end>;)", re.DOTALL
)


def split(sql: str) -> Iterator[str]:
    """The statements of a text, which may be sent at once."""
    begin = 0
    for part in (*_PART.finditer(sql), None):
        if part is None or part["end"]:
            statement = sql[begin : part.start() if part else len(sql)].strip()
            begin = part.end() if part else begin
            if statement:
                yield statement


def is_control(sql: str) -> bool:
    """Says whether it only begins or ends transactions, or makes a session as it was for the next user of a pool."""
    if ";" not in sql:
        return CONTROL.match(bare(sql)) is not None or not bare(sql).strip()
    return all(CONTROL.match(bare(each)) or not bare(each).strip() for each in split(sql))


def one_line(text: str) -> str:
    return " ".join(text.split())


def shape(text: str) -> str:
    """With … for literals, and for lists of values however long they are."""
    return _LIST.sub("(…)", _LITERAL.sub("…", one_line(text)))


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def both_ends(text: str, length: int) -> str:
    """Without some words of the middle, since columns at the beginning say less than a condition at the end."""
    if len(text) <= length:
        return text
    half = length // 2 - 1
    return f"{text[:half].rpartition(' ')[0] or text[:half]} … {text[-half:].partition(' ')[2] or text[-half:]}"
