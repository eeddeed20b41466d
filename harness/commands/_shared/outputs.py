"""Standard output and error that cost no verdict: a reader who left, a full device or a poor encoding ends no command.

The rest of what is shown is then lost, and said to be; what a command wrote to files and its exit code stay.
"""

import codecs
import io
import os
import select
import sys
from errno import EPIPE
from typing import TYPE_CHECKING, Final, TextIO

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

OUTPUT, ERROR = 1, 2
FALLBACK: Final = "harness.plain"
PLAIN: Final = str.maketrans({"≤": "<=", "≥": ">=", "…": "...", "→": "->", "µ": "u", **dict.fromkeys("▁▂▃▄▅▆▇█", "#")})
"""How what is shown most is written where an encoding lacks it."""


class Undeterred(io.FileIO):
    """Writes until that fails, and from then on to nowhere."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])  # Somebody set the terminal to answer at once.
        except OSError as error:
            self._give_up(error)
            return memoryview(data).nbytes
        return written

    def _give_up(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if self.fileno() == OUTPUT and error.errno != EPIPE:
            print(  # noqa: T201 -- the other stream, which takes anything
                f"harness: standard output could not be written ({error.strerror}). The exit code is the verdict's all "
                "the same, and the files are written.",
                file=sys.stderr,
            )


def withstand() -> None:
    """Makes both of this process's streams such ones; a stream that is closed leads nowhere, and not into a file."""
    codecs.register_error(FALLBACK, in_plain_characters)
    for descriptor in range(ERROR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout, sys.stderr = _undeterred(OUTPUT, sys.stdout), _undeterred(ERROR, sys.stderr)


def _undeterred(descriptor: int, replaced: TextIO | None) -> TextIO:
    raw = Undeterred(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=replaced.encoding if replaced else "utf-8",
        errors=FALLBACK,
        line_buffering=descriptor == ERROR or raw.isatty(),
        write_through=bool(getattr(replaced, "write_through", False)),
    )


def echo_file(text: str, *, nl: bool = True) -> None:
    """Writes what is for a file, which says itself that it is UTF-8: whatever the encoding of this terminal is."""
    click.echo(text.encode("utf-8", errors="replace"), nl=nl)


def in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    """Gives what an encoding lacks, as a `codecs` error handler: `≤` as `<=`, and `?` for what has no such."""
    assert isinstance(error, UnicodeEncodeError), "nothing is read through it"
    lacking = error.object[error.start : error.end].translate(PLAIN)
    return "".join(character if character.isascii() else "?" for character in lacking), error.end
