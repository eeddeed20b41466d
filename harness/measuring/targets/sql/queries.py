"""Statements as they are written: files split by `-- name: x`, and placeholders that become those of PostgreSQL.

A value is always bound to its placeholder, and never becomes text of the statement. The convention is that of aiosql,
whose own pattern also reads what stands in comments and between dollar quotes.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import UsageError
from harness.measuring.pointing import pointed_at

_NAME: Final = re.compile(r"^[ \t]*--[ \t]*name:[ \t]*(?P<name>\w+)[^\n]*$", re.MULTILINE)

_TOKEN: Final = re.compile(
    r"""
      --[^\n]*
    | \b[eE]'(?:\\.|''|[^'\\])*'
    | '(?:''|[^'])*'
    | "(?:""|[^"])*"
    | (?P<block>/\*)
    | (?<![\w$])\$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$
    | ::
    | (?<![\w\]):]):(?P<name>[^\W\d]\w*)
    | (?<![\w$])\$(?P<number>[1-9]\d*)
    """,
    re.VERBOSE | re.DOTALL,
)
"""What may contain a colon or a dollar. A colon after a word or a bracket is that of a slice, as in `a[1:2]`."""
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class OwnStatement:
    """`written` as its author knows it, and `sql` as the server gets it, with `$1` … for `arguments` in their order.

    `moved` says from which character of `sql` on which one of `written` it is.
    """

    name: str
    written: str
    sql: str
    arguments: tuple[str, ...]
    moved: tuple[tuple[int, int], ...]

    def pointed_at(self, position: int) -> str:
        """The line of `written` with a caret below the character that is number `position` of `sql`, from 1."""
        offset = position - 1
        begin, original = max((each for each in self.moved if each[0] <= offset), default=(0, 0))
        return pointed_at(self.written, min(original + offset - begin, len(self.written)))


@dataclass(frozen=True, slots=True)
class _Placeholder:
    begin: int
    end: int
    argument: str


def read_statement(name: str, written: str) -> OwnStatement:
    """Numbers the placeholders of each statement from 1, since one of a transaction need not use all arguments."""
    arguments: list[str] = []
    sql, moved, copied = "", [(0, 0)], 0
    for placeholder in _placeholders(written):
        if placeholder.argument not in arguments:
            arguments.append(placeholder.argument)
        sql += f"{written[copied : placeholder.begin]}${arguments.index(placeholder.argument) + 1}"
        copied = placeholder.end
        moved.append((len(sql), copied))
    return OwnStatement(name, written, sql + written[copied:], tuple(arguments), tuple(moved))


def _placeholders(written: str) -> Iterator[_Placeholder]:
    at = 0
    while found := _TOKEN.search(written, at):
        at = _comment_end(written, found.end()) if found["block"] else found.end()
        argument = found["name"] or found["number"]
        if argument:
            yield _Placeholder(found.start(), found.end(), argument)


def _comment_end(written: str, at: int) -> int:
    """They nest."""
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(written, at)):
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()
    return at if not depth else len(written)


def read_file(path: Path) -> Mapping[str, str]:
    """The statements of a file by their names. Raises `UsageError` for one without names, or with one twice."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as SQL: {error}.") from None
    names = list(_NAME.finditer(content))
    if not names:
        raise UsageError(f"{path} names no statement. Write a line `-- name: latest_orders` before each.")
    ends = [*(each.start() for each in names[1:]), len(content)]
    statements: dict[str, str] = {}
    for name, end in zip(names, ends, strict=True):
        if name["name"] in statements:
            line = content.count("\n", 0, name.start()) + 1
            raise UsageError(f"{path}:{line}: {name['name']} is the name of an earlier statement already. Rename one.")
        statements[name["name"]] = content[name.end() : end].strip().removesuffix(";")
    return statements


def mismatch(statements: Sequence[OwnStatement], given: Collection[str], *, by_name: bool) -> str | None:
    """Says what is wrong between the placeholders and the arguments, for whoever wrote both; None where they fit."""
    wanted = {argument for statement in statements for argument in statement.arguments}
    for argument in sorted(wanted):
        shown = _shown(argument)
        if argument.isdigit() == by_name and given:
            how = f"a name, as in {{ {argument} = … }}" if by_name is False else "a list, as in [20]"
            return f"{shown} takes its value from {how}, and `arguments` is {'a table' if by_name else 'a list'}"
        if argument not in given:
            some = f"it has {', '.join(map(_shown, given))}" if given else "there is none"
            return f"nothing draws {shown}: add it to `arguments` ({some})"
    unused = [argument for argument in given if argument not in wanted]
    if unused:
        return f"no statement has {_shown(unused[0])}, which `arguments` has. Leave it out, or write it into the SQL"
    return None


def _shown(argument: str) -> str:
    return f"${argument}" if argument.isdigit() else f":{argument}"
