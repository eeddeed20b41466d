"""The journal keeps whole lines only, and makes a record of whatever a run came to write."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import runs
from harness.errors import HarnessError, UsageError
from harness.journal import FILE_NAME, Journal, open_journal, read, reopen_journal, resumable
from harness.record import DisruptionRecord
from harness.samples import SAMPLES, Sample
from tests.records import samples

RUN = {
    "run_id": "r",
    "started_at": "2026-01-01T00:00:00Z",
    "command": ["harness", "run"],
    "scenario": {"name": "s"},
    "corpus": {"name": "c", "size": 1},
    "environment": {"host": {}, "software": {}, "server": {}},
}
VARIANT = {"name": "naive", "description": "d", "schema_version": 6}
SAMPLE = Sample(operation="add", round=1, intended_s=0.0, started_s=0.0, ended_s=1.5, statements=6)


def written(directory: Path, *, ended: bool) -> Path:
    with open_journal(directory) as journal:
        journal.write("run", RUN)
        journal.write("variant", VARIANT)
        journal.sample("naive", SAMPLE)
        if ended:
            journal.write("variant_end", {"name": "naive", "complete": True, "cache": {"hits": 1.0}})
            journal.write("end", {"interruption": None, "elapsed_s": 2.0})
    return directory / FILE_NAME


def test_a_whole_run_becomes_a_complete_record(tmp_path: Path) -> None:
    record = read(written(tmp_path / "run", ended=True))
    assert (record.state, record.interruption, record.elapsed_s) == ("complete", None, 2.0)
    assert record.variants[0].samples == (SAMPLE,)
    assert record.variants[0].cache == {"hits": 1.0}
    assert record.variants[0].complete


def test_a_path_that_is_no_utf_8_costs_no_record(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    with open_journal(tmp_path / "run") as journal:
        journal.write("run", {**RUN, "command": ["harness", "run", "--output", odd, "\N{GRINNING FACE}\u2028"]})
    runs.write_record(tmp_path / "run", read(tmp_path / "run" / FILE_NAME))
    assert runs.load_record(tmp_path / "run").command[-2:] == ("caf?", "\N{GRINNING FACE}\u2028")


def test_a_disruption_belongs_to_its_variant(tmp_path: Path) -> None:
    done = DisruptionRecord(round=1, phase="mix", action="kill", planned_s=2.0, started_s=2.1, ended_s=3.0)
    not_reached = DisruptionRecord(round=1, phase="mix", action="kill", planned_s=20.0)
    with open_journal(tmp_path / "run") as journal:
        journal.write("run", RUN)
        journal.write("variant", VARIANT)
        journal.disruption("naive", done)
        journal.disruption("naive", not_reached)
    assert read(tmp_path / "run" / FILE_NAME).variants[0].disruptions == (done, not_reached)


def test_a_run_without_its_end_is_partial_and_keeps_its_samples(tmp_path: Path) -> None:
    record = read(written(tmp_path / "run", ended=False))
    assert record.state == "partial"
    assert record.interruption is not None
    assert record.variants[0].samples == (SAMPLE,)
    assert not record.variants[0].complete


def test_cutting_the_file_anywhere_never_loses_a_whole_line(tmp_path: Path) -> None:
    path = written(tmp_path / "run", ended=True)
    whole = path.read_bytes()
    first_line = whole.index(b"\n") + 1
    for length in range(first_line, len(whole)):
        path.write_bytes(whole[:length])
        record = read(path)
        assert record.state == "partial"
        kept = whole[:length].rpartition(b"\n")[0]
        assert sum(len(variant.samples) for variant in record.variants) == kept.count(b'"kind":"sample"')


def test_a_later_round_of_a_variant_adds_to_its_samples(tmp_path: Path) -> None:
    path = written(tmp_path / "run", ended=False)
    journal = Journal(path)
    journal.write("variant", VARIANT)
    journal.sample("naive", SAMPLE)
    journal.close()
    assert read(path).variants[0].samples == (SAMPLE, SAMPLE)


def test_variants_that_take_turns_keep_what_is_theirs(tmp_path: Path) -> None:
    with open_journal(tmp_path / "run") as journal:
        journal.write("run", RUN)
        for name in ("naive", "batched"):
            journal.write("variant", {"name": name, "round": 1, "description": "", "schema_version": 8})
        for latency_s in (0.1, 0.2):
            for factor, name in enumerate(("naive", "batched"), start=1):
                journal.sample(name, samples([factor * latency_s])[0])
        for name in ("naive", "batched"):
            journal.write("variant_end", {"name": name, "complete": True, "drain_s": 0.0})
    naive, batched = read(tmp_path / "run" / FILE_NAME).variants
    assert [sample.latency_s for sample in naive.samples] == pytest.approx([0.1, 0.2])
    assert [sample.latency_s for sample in batched.samples] == pytest.approx([0.2, 0.4])
    assert naive.complete
    assert batched.complete


def test_a_sample_without_its_pass_is_refused(tmp_path: Path) -> None:
    with open_journal(tmp_path / "run") as journal:
        journal.write("run", RUN)
        journal.sample("naive", samples([0.1])[0])
    with pytest.raises(UsageError, match=r"journal\.jsonl, line 2: 'naive' has not begun its pass"):
        read(tmp_path / "run" / FILE_NAME)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"not json\n", "line 6: not JSON"),
        (b"[]\n", "line 6: not an entry"),
        (b'{"kind":"telemetry"}\n', "line 6: unknown entry 'telemetry'. A newer harness may have written it"),
        (b'{"kind":"run","schema_version":2}\n', "line 6: a journal of version 2, not 1. A newer harness"),
        (
            b'{"kind":"profile","frames":3}\n',
            r"not a record of version 1 \('variant' is missing.*A newer",
        ),
        (b'{"kind":"elapsed"}\n', "line 6: the entry lacks 'elapsed_s'. A newer harness"),
    ],
)
def test_a_line_that_the_harness_did_not_write_is_named(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = written(tmp_path / "run", ended=True)
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(UsageError, match=complaint):
        read(path)


def test_an_empty_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(UsageError, match="does not begin with a run"):
        read(tmp_path / FILE_NAME)


def test_a_run_never_writes_into_another_ones_directory(tmp_path: Path) -> None:
    written(tmp_path / "run", ended=True)
    with pytest.raises(UsageError, match="--output"), open_journal(tmp_path / "run"):
        pytest.fail("opened")


def test_a_full_disk_is_told_and_what_was_written_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "run", ended=False)
    before = path.read_bytes()
    journal = Journal(path)
    real_write = os.write

    def short_write(descriptor: int, line: bytes) -> int:
        return real_write(descriptor, line[:10])

    monkeypatch.setattr("harness.journal.os.write", short_write)
    with pytest.raises(HarnessError, match=os.strerror(errno.ENOSPC)):
        journal.sample("naive", SAMPLE)
    journal.close()
    assert path.read_bytes() == before


def two_rounds(directory: Path) -> bytes:
    """A run of two passes with two samples each, as it is in the file."""
    with open_journal(directory) as journal:
        journal.write("run", RUN)
        for number in (1, 2):
            measured(journal, number)
        journal.write("end", {"interruption": None, "elapsed_s": 2.0})
    return (directory / FILE_NAME).read_bytes()


def measured(journal: Journal, number: int) -> None:
    journal.write("variant", VARIANT | {"round": number})
    for _ in range(2):
        journal.sample("naive", replace(SAMPLE, round=number))
    journal.write("variant_end", {"name": "naive", "complete": True})
    journal.write("elapsed", {"elapsed_s": float(number)})


def test_a_run_that_was_cut_off_anywhere_goes_on_without_mixing_old_and_new(tmp_path: Path) -> None:
    whole = two_rounds(tmp_path / "run")
    path = tmp_path / "run" / FILE_NAME
    for length in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:length])
        seen = sum(len(variant.samples) for variant in read(path).variants)
        done = resumable(path).passes
        with reopen_journal(tmp_path / "run") as journal:
            journal.write("resumed", {"at": "2026-01-02T00:00:00Z"})
            for number in {1, 2} - {number for _, number in done}:
                measured(journal, number)
            journal.write("end", {"interruption": None, "elapsed_s": 1.5})
        record = read(path)
        assert [sample.round for sample in record.variants[0].samples] == [1, 1, 2, 2]
        assert (record.state, len(record.resumptions)) == ("complete", 1)
        assert sum(record.resumptions[0].discarded.values()) == seen - 2 * len(done)


@pytest.mark.parametrize(
    ("slices", "kept"), [(1, {("naive", 1), ("batched", 1), ("naive", 2)}), (2, {("naive", 1), ("batched", 1)})]
)
def test_variants_that_took_turns_are_measured_again_together(
    tmp_path: Path, slices: int, kept: set[tuple[str, int]]
) -> None:
    """Of the round that was cut off, one had come to its end."""
    with open_journal(tmp_path / "run") as journal:
        journal.write("run", RUN | {"scenario": {"name": "s", "slices": slices}})
        for number, ended in enumerate((("naive", "batched"), ("naive",)), start=1):
            for name in ("naive", "batched"):
                journal.write("variant", VARIANT | {"name": name, "round": number})
                journal.sample(name, replace(SAMPLE, round=number))
            for name in ended:
                journal.write("variant_end", {"name": name, "complete": True})
    path = tmp_path / "run" / FILE_NAME
    assert resumable(path).passes == kept
    with reopen_journal(tmp_path / "run") as journal:
        journal.write("resumed", {"at": "2026-01-02T00:00:00Z"})
    record = read(path)
    assert {(variant.name, sample.round) for variant in record.variants for sample in variant.samples} == kept
    assert sum(record.resumptions[0].discarded.values()) == 4 - len(kept)


def test_the_time_before_and_after_a_resumption_adds_up(tmp_path: Path) -> None:
    two_rounds(tmp_path / "run")
    with reopen_journal(tmp_path / "run") as journal:
        journal.write("resumed", {"at": "2026-01-02T00:00:00Z"})
        journal.write("end", {"interruption": None, "elapsed_s": 1.5})
    assert read(tmp_path / "run" / FILE_NAME).elapsed_s == 3.5


def test_a_run_that_is_still_going_on_is_not_resumed(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path / "run"),
        pytest.raises(UsageError, match="still going on"),
        reopen_journal(tmp_path / "run"),
    ):
        pytest.fail("opened twice")


def test_a_run_without_a_journal_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no journal"), reopen_journal(tmp_path):
        pytest.fail("opened")


def test_a_file_that_may_not_grow_is_told_and_read_again(tmp_path: Path) -> None:
    """As a process of its own, since a limit on it cannot be taken back."""
    program = """
import resource, signal, sys
from pathlib import Path
from harness.journal import open_journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
with open_journal(Path(sys.argv[1])) as journal:
    journal.write("run", RUN)
    journal.write("variant", VARIANT)
    while True:
        journal.write("sample", SAMPLE)
"""
    values = {"RUN": RUN, "VARIANT": VARIANT, "SAMPLE": {"variant": "naive", **SAMPLES.dump_python(SAMPLE)}}
    stated = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    done = subprocess.run(
        [sys.executable, "-c", stated + program, str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert "HarnessError" in done.stderr
    assert "free some space" in done.stderr
    assert set(read(tmp_path / "run" / FILE_NAME).variants[0].samples) == {SAMPLE}
