"""Tables and texts as GitHub-flavoured Markdown: what the renderers share that write it."""

import re
from collections.abc import Iterable

from harness.showing.tables import Cell, Table, printable


def table_markup(table: Table) -> str:
    return "\n".join(_lines(table))


def escaped(text: str) -> str:
    """Text that Markdown and the HTML it allows show as it is. Mentions and references to issues stay plain text."""
    marked = re.sub(r"([\\`*_\[\]|~$#@])", r"\\\1", printable(text))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """A code span, in which only a table's bars and the span's own fence mean anything."""
    plain = printable(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    return f"{fence}{plain}{fence}" if len(fence) == 1 else f"{fence} {plain} {fence}"


def shortened(text: str, bytes_max: int, where: str) -> str:
    """The text, or as many of its whole lines as fit, and then a sentence that says `where` the rest is.

    Nothing at all where not even the sentence fits. Bytes of UTF-8 are never fewer than characters, so this also holds
    a limit in characters.
    """
    if len(text.encode()) <= bytes_max:
        return text
    note = f"\n\n*Cut here: the whole is too long for this place. {where}*\n"
    room = bytes_max - len(note.encode())
    if room < 0:
        return ""
    kept = text.encode()[:room]
    return kept[: kept.rfind(b"\n") + 1].decode().rstrip() + note


def _lines(table: Table) -> Iterable[str]:
    yield f"## {escaped(table.title)}\n"
    yield f"| {' | '.join(escaped(column.title) for column in table.columns)} |"
    yield f"| {' | '.join('---:' if column.numeric else '---' for column in table.columns)} |"
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        yield f"| {' | '.join(code(cell.text) if column.code else _cell(cell) for cell, column in cells)} |"
    if table.note:
        yield f"\n{escaped(table.note)}"


def _cell(cell: Cell) -> str:
    text = escaped(cell.text)
    return f"**{text}**" if cell.tone == "bad" and text else text
