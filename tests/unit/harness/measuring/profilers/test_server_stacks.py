import os
from pathlib import Path

import pytest

from harness.frames import SERVER
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profilers.server_stacks import PROGRAM, ServerRecording, ServerStacks, Unobservable, fold

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
SCRIPT = f"""\
postgres 27561 78091.382971:    2004008 cpu-clock: 
\t          5b13fc pg_mbstrlen_with_len+0x6c (/opt/pgsql/bin/postgres)
\t          2d4439 ExecAgg+0x479 (/opt/pgsql/bin/postgres)
\t          46bc3b PostgresMain+0xb7b (/opt/pgsql/bin/postgres)
\t          4675ce BackendMain+0x3e (/opt/pgsql/bin/postgres)
\t           27249 __libc_start_call_main+0x79 ({LIBRARIES}/libc.so.6)

postgres 27561 78091.389009:    2004008 cpu-clock: 
\t          5b13fc pg_mbstrlen_with_len+0x7f (/opt/pgsql/bin/postgres)
\t          2d4439 ExecAgg+0x12 (/opt/pgsql/bin/postgres)
\t          46bc3b PostgresMain+0xb7b (/opt/pgsql/bin/postgres)
\t          4675ce BackendMain+0x3e (/opt/pgsql/bin/postgres)

my server 27561/27562 [001] 78091.391014:    1000000 cpu-clock:u: 
\tffffffff81a3c0d1 copy_to_user+0x31 ([kernel.kallsyms])
\t    7f0a3c0d1234 [unknown] ({LIBRARIES}/libz.so.1.2.13 (deleted))
\t           11d20 HnswSearchLayer+0x20 (/opt/pgsql/lib/vector.so)
\t          46bc3b PostgresMain+0xb7b (/opt/pgsql/bin/postgres)

postgres 27561 78091.400000:    2004008 cpu-clock: 

postgres 27561 78091.401000:    2000000 cpu-clock: 
\t    7f0a3c0d1234 ns::f(a; b)+0x3 (/opt/pgsql/bin/postgres)
"""  # noqa: W291 -- as perf prints it


def test_samples_become_stacks_of_seconds_from_the_function_on_that_begins_a_session() -> None:
    """A sample without frames is none, and a stack that does not go back as far is kept as it is."""
    assert fold(SCRIPT.splitlines()) == {
        f"{SERVER};postgres: ExecAgg;postgres: pg_mbstrlen_with_len": pytest.approx(2 * 0.002004008),
        f"{SERVER};vector: HnswSearchLayer;libz: [unknown];kernel: copy_to_user": pytest.approx(0.001),
        f"{SERVER};postgres: ns::f(a, b)": pytest.approx(0.002),
    }


def test_nothing_sampled_is_nothing() -> None:
    assert fold([]) == {}


def with_perf(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A perf that is this shell script."""
    program = directory / PROGRAM
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")


async def test_without_perf_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    subject = ProfiledOperation("naive", "query", 1, tmp_path, "postgresql://127.0.0.1:1/none", "none")
    async with ServerStacks().observe(subject) as observed:
        pass
    assert observed == {
        "server_unobserved": (
            "the program perf is not installed. On Debian and Ubuntu it is in `linux-perf` or `linux-tools-generic`."
        )
    }


async def test_a_server_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_perf(tmp_path, monkeypatch, "exit 0")
    subject = ProfiledOperation("naive", "query", 1, tmp_path, "postgresql://127.0.0.1:1/none", "none")
    async with ServerStacks().observe(subject) as observed:
        pass
    assert observed["server_unobserved"].startswith("the server did not name its processes")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "Access to performance monitoring is limited.\nConsider perf_event_paranoid",
            "sysctl kernel",
        ),
        ("perf_event_open(): Operation not permitted", r"Run as root or as the server's user"),
        (
            "Error:\nThe cpu-clock event is not supported.",
            r"begin: The cpu-clock event is not supported\. `perf",
        ),
        ("", r"did not begin: it said nothing\. `perf record"),
    ],
)
async def test_a_refusal_says_what_to_change(
    said: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_text(said, encoding="utf-8")
    with_perf(tmp_path, monkeypatch, f"cat {tmp_path}/said >&2; exit 255")
    with pytest.raises(Unobservable, match=sentence):
        await ServerRecording.begun([1], tmp_path / "query")
