"""`harness run` as a process: what it prints, leaves behind and exits with."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.record import RunRecord
from tests.acceptance.conftest import Program, clean_environment, harness_in, tiny_in
from tests.waiting import until

Scenario = Callable[..., Path]


def only_run(directory: Path) -> Path:
    (run,) = (directory / "reports").iterdir()
    return run


@dataclass(frozen=True)
class Failed:
    """A run with a budget that fails, by itself in its directory, and what it said."""

    directory: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Failed:
    directory = tmp_path_factory.mktemp("failed")
    scenario = tiny_in(directory)("query.statements <= 2", "naive: query.statements >= 232")
    return Failed(directory, harness_in(directory, clean_environment())("run", str(scenario)))


@pytest.fixture
def after_it(failed: Failed, tmp_path: Path) -> Path:
    """The directory of the test, with a copy of that run."""
    return shutil.copytree(failed.directory, tmp_path, dirs_exist_ok=True)


@pytest.mark.slow
def test_a_budget_that_fails_exits_with_1_says_by_how_much_and_leaves_a_whole_run(failed: Failed) -> None:
    done = failed.done
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 > 2 (1 over)" in done.stdout
    run = only_run(failed.directory)
    record = RunRecord.model_validate_json((run / "record.json").read_bytes())
    assert record.state == "complete"
    assert {variant.name: len(variant.samples) for variant in record.variants} == {"naive": 4, "batched": 4}
    assert {"journal.jsonl", "record.json", "report.html", "report.md", "report.json"} <= {
        path.name for path in run.iterdir()
    }
    assert str(run.relative_to(failed.directory) / "report.html") in done.stdout


@pytest.mark.slow
def test_a_program_reads_events_alone_and_a_quiet_run_says_nothing_else(harness: Program, tiny: Scenario) -> None:
    done = harness("run", str(tiny("query.statements <= 2")), "--strategies", "batched", "--json", "--quiet")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(dict.fromkeys(each["event"] for each in events)) == ["start", "phase", "progress", "budget", "verdict"]
    assert (events[-1]["outcome"], events[-1]["exit_code"], done.returncode) == ("FAIL", 1, 1)
    assert done.stderr == ""


@pytest.mark.slow
def test_workers_share_a_run(harness: Program, tiny: Scenario, tmp_path: Path) -> None:
    done = harness("run", str(tiny("query.statements <= 3")), "--strategies", "batched", "--set", "workers=2")
    assert done.returncode == 0, done.stdout + done.stderr
    (variant,) = RunRecord.model_validate_json((only_run(tmp_path) / "record.json").read_bytes()).variants
    assert len(variant.samples) == 4
    assert [(phase.users, phase.started, phase.processes) for phase in variant.phases] == [(2, 4, 2)]
    assert variant.phases[0].counters["rows_read"] > 0


@pytest.mark.slow
def test_a_quantile_that_few_samples_cannot_decide_exits_with_3(harness: Program, tiny: Scenario) -> None:
    path = tiny("query.p95 <= 10s", requests=60, extra="time_s = 0.001\n")
    done = harness("run", str(path), "--strategies", "batched")
    assert done.returncode == 3
    assert "UNDECIDED" in done.stdout
    assert "warning: query.p95 <= 10s" in done.stderr


@pytest.mark.slow
def test_a_budget_that_may_end_the_run_ends_it_and_fails(harness: Program, tiny: Scenario, tmp_path: Path) -> None:
    done = harness("run", str(tiny("naive: query.statements <= 3 abort", requests=600)))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ended early by naive: query.statements <= 3 abort" in done.stdout
    record = RunRecord.model_validate_json((only_run(tmp_path) / "record.json").read_bytes())
    assert record.aborted_by == "naive: query.statements <= 3 abort"
    assert sum(len(variant.samples) for variant in record.variants) < 600


@pytest.mark.slow
def test_a_stored_run_is_rendered_and_judged_again(harness: Program, after_it: Path) -> None:
    again = harness("report", "latest", "--format", "json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["verdict"]["outcome"] == "FAIL"
    without = harness("diff", "latest")
    assert without.returncode == 2
    assert "harness profile" in without.stderr
    assert "Traceback" not in without.stderr
    (only_run(after_it) / "record.json").unlink()
    from_journal = harness("report", only_run(after_it).name, "--format", "markdown")
    assert from_journal.returncode == 1
    assert "query.statements <= 2" in from_journal.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.nightly)]
)
async def test_an_interrupted_run_is_kept_marked_and_cleaned_up(
    sent: signal.Signals, tiny: Scenario, tmp_path: Path, environment: dict[str, str], shared_directory: Path
) -> None:
    scenario = tiny(requests=2_000)
    command = [sys.executable, "-m", "harness.cli", "run", str(scenario), "--report", "junit=out.xml"]
    # What ignores a signal has its children ignore it: tests run in the background, or under nohup.
    inherited = signal.signal(sent, signal.SIG_DFL)
    run = subprocess.Popen(  # noqa: ASYNC220 -- only its signals and its end are waited for
        command,
        cwd=tmp_path,
        env=environment | {"TMPDIR": str(shared_directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    signal.signal(sent, inherited)

    await until(lambda: measuring(run, tmp_path))
    started = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, sent)
    os.kill(run.pid, sent)  # As somebody who does not like to wait.
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "Traceback" not in output
    record = RunRecord.model_validate_json((only_run(tmp_path) / "record.json").read_bytes())
    assert (record.state, record.interruption) == ("partial", "interrupted")
    assert record.variants[0].samples
    assert "interrupted" in (tmp_path / "out.xml").read_text(encoding="utf-8")
    assert (only_run(tmp_path) / "report.html").exists()

    async def gone() -> bool:
        return not any(process.is_running() for process in started) and not os.listdir(shared_directory)  # noqa: PTH208 -- an empty directory answers at once

    await until(gone)


@pytest.mark.slow
def test_a_killed_run_is_reported_from_its_journal(harness: Program, after_it: Path) -> None:
    journal = only_run(after_it) / "journal.jsonl"
    (only_run(after_it) / "record.json").unlink()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-3]) + lines[-3][:10])
    report = harness("report")
    assert report.returncode == 4
    assert "partial" in report.stdout


@pytest.mark.slow
def test_a_run_samples_on_and_one_that_was_cut_off_goes_on(harness: Program, tiny: Scenario, tmp_path: Path) -> None:
    path = tiny("query.p95 <= 10s", requests=40, extra="\n[sampling]\ntime_s_max = 60\n")
    done = harness("run", str(path), "--strategies", "batched")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in 80 requests" in done.stdout
    assert "Sampling on, batched: query.p95 <= 10s needs" in done.stderr
    journal = only_run(tmp_path) / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-20]) + lines[-20][:10])
    before = journal.read_bytes()
    refused = harness("run", str(path), "--resume", "--strategies", "batched", "--set", "corpus.size=41")
    assert refused.returncode == 2
    assert "scenario.corpus.size: 40, now 41" in refused.stderr
    assert journal.read_bytes() == before
    resumed = harness("run", "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "The run was resumed once" in resumed.stdout
    record = RunRecord.model_validate_json((only_run(tmp_path) / "record.json").read_bytes())
    assert [sum(s.round == number for s in record.variants[0].samples) for number in (1, 2)] == [40, 40]


@pytest.mark.slow
@pytest.mark.nightly
async def test_a_run_of_two_workers_that_was_killed_goes_on_and_counts_nothing_twice(
    tiny: Scenario, tmp_path: Path, environment: dict[str, str], harness: Program
) -> None:
    path = tiny("query.statements <= 3", requests=40)
    command = [sys.executable, "-m", "harness.cli", "run", str(path), "--strategies", "fix3,batched"]
    run = subprocess.Popen(  # noqa: ASYNC220 -- only its end is waited for
        [*command, "--set", "workers=2"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    await until(lambda: measuring(run, tmp_path))
    run.kill()
    run.communicate(timeout=60)
    resumed = harness("run", "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    record = RunRecord.model_validate_json((only_run(tmp_path) / "record.json").read_bytes())
    (resumption,) = record.resumptions
    assert sum(resumption.discarded.values()) < 40
    for variant in record.variants:
        sent = {(sample.worker, sample.intended_s) for sample in variant.samples}
        assert len(sent) == len(variant.samples) == 40
        assert [(phase.started, phase.processes) for phase in variant.phases] == [(40, 2)]


@pytest.mark.slow
async def test_a_full_disk_is_told_and_what_was_measured_is_whole(
    tiny: Scenario, tmp_path: Path, environment: dict[str, str], harness: Program
) -> None:
    command = [sys.executable, "-m", "harness.cli", "run", str(tiny(requests=20_000)), "--report", "junit=out.xml"]
    run = subprocess.Popen(  # noqa: ASYNC220 -- only its end is waited for
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    await until(lambda: measuring(run, tmp_path))
    # The files of this process may grow no more; its PostgreSQL has a limit of its own.
    size = (only_run(tmp_path) / "journal.jsonl").stat().st_size
    psutil.Process(run.pid).rlimit(psutil.RLIMIT_FSIZE, (size, size))
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 4, output
    assert "free some space" in output
    assert "Traceback" not in output
    # Each file that is too long is told, and one that is short enough is written.
    assert "record.json could not be written" in output
    assert "journal.jsonl could not be written" in (tmp_path / "out.xml").read_text(encoding="utf-8")
    report = harness("report")
    assert report.returncode == 4
    assert "partial" in report.stdout


async def measuring(run: subprocess.Popen[str], directory: Path) -> bool:
    assert run.poll() is None, run.communicate()[0]
    journals = list((directory / "reports").glob("*/journal.jsonl"))
    return bool(journals) and b'"kind":"sample"' in journals[0].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("nan", marks=pytest.mark.nightly),
        pytest.param("html", marks=pytest.mark.nightly),
        "wrong_dimension",
    ],
)
def test_an_embedding_server_that_answers_nonsense_makes_the_run_invalid(
    harness: Program, tiny: Scenario, fault: str
) -> None:
    path = tiny("batched: query.statements <= 3", extra=f"\n[embedding_faults]\n{fault} = 1.0\n")
    settings = ("--set", "latency=lan", "--set", "workload.query.known_text_rate=0")
    done = harness("run", str(path), "--strategies", "batched", *settings)
    assert done.returncode == 4
    assert "InvalidEmbedding" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_keys_can_be_set_and_strategies_chosen_on_the_command_line(
    harness: Program, tiny: Scenario, tmp_path: Path
) -> None:
    path = tiny("naive: query.statements >= 232", "query.statements <= 3")
    done = harness("run", str(path), "--strategies", "batched", "--set", "corpus.size=50", "--set", "title=Fifty")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The budget holds" in done.stdout
    assert "Fifty" in done.stdout
    record = RunRecord.model_validate_json((only_run(tmp_path) / "record.json").read_bytes())
    assert [variant.name for variant in record.variants] == ["batched"]
    assert record.scenario["budgets"] == ["query.statements <= 3"]
    assert record.corpus["size"] == 50
