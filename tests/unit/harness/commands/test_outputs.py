"""Streams that cost no verdict, tried in processes of their own: a test's streams are pytest's."""

import subprocess
import sys
from pathlib import Path

import pytest

WRITE = "from harness.commands._shared.outputs import withstand; withstand(); import click, sys; "


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Its `$program` is Python, and its exit code that of the program, not of what reads it."""
    command = ["bash", "-c", f"set -o pipefail; {script}"]
    return subprocess.run(
        command, env={"program": sys.executable, **environment}, capture_output=True, timeout=280, check=False
    )


def python(code: str, ending: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return shell(f"\"$program\" -c '{WRITE}{code}' {ending}", **environment)


MUCH = 'click.echo("x" * 1_000_000); click.echo("later"); sys.exit(3)'


@pytest.mark.parametrize(
    "ending", ["| true", ">&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", ">/dev/full 2>/dev/full"]
)
def test_nobody_who_does_not_read_changes_the_exit_code(ending: str) -> None:
    if "/dev/full" in ending and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert python(MUCH, ending).returncode == 3


def test_a_full_device_is_told_and_a_reader_who_left_is_not() -> None:
    if Path("/dev/full").exists():
        assert b"standard output could not be written (No space left on device)" in python(MUCH, ">/dev/full").stderr
    assert python(MUCH, "| true").stderr == b""


def test_a_closed_stream_never_leads_into_a_file(tmp_path: Path) -> None:
    """The system gives the lowest free descriptor to the next file that is opened."""
    path = tmp_path / "file"
    python(f'file = open("{path}", "w"); click.echo("shown"); file.write("kept")', ">&- 2>&-")
    assert path.read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("latin-1", b"3 \xb5s <= ? ..."), ("cp1252", b"3 \xb5s <= ? \x85"), ("utf-8", "3 µs ≤ 記 …".encode())],
)
def test_what_an_encoding_lacks_is_written_in_plain_characters(encoding: str, shown: bytes) -> None:
    code = 'click.echo("3 \\xb5s \\u2264 \\u8a18 \\u2026")'
    assert python(code, PYTHONIOENCODING=encoding).stdout.strip() == shown


def test_what_is_for_a_file_is_utf_8_all_the_same() -> None:
    code = 'from harness.commands._shared.outputs import echo_file; echo_file("\\u2264")'
    assert python(code, PYTHONIOENCODING="latin-1").stdout == "≤\n".encode()
