"""Each `harness` command that a document tells to type is one: its options are there, and take what is written."""

import re
import shlex
from pathlib import Path

import click
import pytest

from harness.command_line import harness

ROOT = Path(__file__).parents[4]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(harness [a-z][^`]*)`")
STANDS_FOR = {"FORMAT": "json", "WHAT": "pytest", "…": "1"}
"""What a document writes for any value, with one."""


def commands(text: str) -> set[str]:
    """In its blocks and in its sentences, which may break in the middle of one."""
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    blocks = {found for line in lines for found in re.findall(r"(?:^|[ /])(harness (?:--debug )?[a-z].*)", line)}
    return blocks | {" ".join(found.split()) for found in INLINE.findall(BLOCK.sub("", text))}


FOUND = sorted(
    {(path.relative_to(ROOT).as_posix(), each) for path in DOCUMENTS for each in commands(path.read_text("utf-8"))}
)


def words(command: str) -> list[str]:
    """Without what a shell takes for itself."""
    typed = re.split(r" (?:\|\|?|>|&&) ", command)[0]
    return [STANDS_FOR.get(word, word) for word in shlex.split(typed, comments=True)[1:]]


def understood(group: click.Group, context: click.Context, arguments: list[str]) -> None:
    """As click reads it, without doing it. Raises `click.UsageError`."""
    name, command, rest = group.resolve_command(context, arguments)
    assert command is not None
    if not rest:
        return  # It is only spoken of.
    if isinstance(command, click.Group):
        understood(command, click.Context(command, info_name=name, parent=context), rest)
    else:
        command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("command", [pytest.param(command, id=f"{document}: {command}") for document, command in FOUND])
def test_a_command_of_a_document_is_understood(command: str) -> None:
    understood(harness, click.Context(harness, info_name="harness"), words(command))


def test_many_are_found() -> None:
    assert {"harness init sql", "harness try shop.toml", "harness record shop.har"} <= {command for _, command in FOUND}
    assert len({document for document, _ in FOUND}) >= 12
