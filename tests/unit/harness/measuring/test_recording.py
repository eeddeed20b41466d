"""A run's end: whatever ends it, its record has what was measured and the true reason."""

import logging
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from harness import journal
from harness.errors import HarnessError, MissingExtra, ProvisioningError, Unexpected, UsageError
from harness.measuring.progress import Progress
from harness.measuring.recording import header, logging_to, measure_without_trace, record_run
from harness.measuring.scenario import Scenario
from harness.measuring.targets.anima.scenario import MemoryScenario

Raise = Callable[[], None]


def scenario(**others: object) -> Scenario:
    return MemoryScenario.model_validate(
        {
            "name": "nothing",
            "title": "Nothing",
            "target": "null",
            "strategies": ["null"],
            "baseline": "null",
            "candidate": "null",
            "latency": "local",
            "corpus": {"kind": "generated", "size": 1},
            "phases": [{"workload": "bootstrap", "requests": 1}],
            **others,
        }
    )


def failing_with(error: BaseException) -> Callable[[Scenario, journal.Journal, Progress], Coroutine[None, None, None]]:
    async def work(_scenario: Scenario, entries: journal.Journal, _progress: Progress) -> None:
        entries.write("variant", {"name": "null", "description": "", "schema_version": 0})
        raise error

    return work


def test_a_failure_that_nobody_foresaw_leaves_a_partial_record_with_its_reason(tmp_path: Path) -> None:
    measured = record_run(scenario(), tmp_path / "run", failing_with(ZeroDivisionError("by zero")))
    assert isinstance(measured.failure, Unexpected)
    assert (measured.record.state, measured.record.interruption) == (
        "partial",
        "an unexpected failure, ZeroDivisionError: by zero",
    )
    assert [variant.name for variant in measured.record.variants] == ["null"]
    assert measured.record == journal.read(tmp_path / "run" / journal.FILE_NAME)
    assert "ZeroDivisionError: by zero" in (tmp_path / "run" / journal.LOG_FILE).read_text(encoding="utf-8")


def test_an_explained_failure_is_the_reason_without_the_secret_in_it(tmp_path: Path) -> None:
    measured = record_run(scenario(), tmp_path / "run", failing_with(HarnessError("http://u:pw@h is away")))
    assert measured.record.interruption == "http://…@h is away"
    assert not (tmp_path / "run" / journal.LOG_FILE).exists()


@pytest.mark.parametrize("left", [0, 2])
def test_a_disk_that_is_full_takes_the_reason_from_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """Full at once, or after the first entries."""
    write = journal.Journal.write
    written = 0

    def until_full(self: journal.Journal, kind: str, entry: dict[str, object]) -> None:
        nonlocal written
        if written == left:
            raise HarnessError("The disk is full.")
        written += 1
        write(self, kind, entry)

    monkeypatch.setattr(journal.Journal, "write", until_full)
    measured = record_run(scenario(), tmp_path / "run", failing_with(ValueError("ends here")))
    assert measured.failure is not None
    assert measured.record.state == "partial"
    assert measured.record.run_id == "run"
    assert measured.record.interruption == (
        "The disk is full." if left == 0 else "an unexpected failure, ValueError: ends here"
    )


def test_a_run_that_refuses_to_go_on_stays_as_it_is(tmp_path: Path) -> None:
    first = record_run(scenario(), tmp_path / "run", failing_with(HarnessError("cut off")))
    before = (tmp_path / "run" / journal.FILE_NAME).read_bytes()

    async def refuse(*_: object) -> None:
        raise UsageError("another server")

    with pytest.raises(UsageError, match="another server"):
        record_run(scenario(), tmp_path / "run", refuse, resume=True)
    assert journal.read(tmp_path / "run" / journal.FILE_NAME) == first.record
    assert (tmp_path / "run" / journal.FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("refusal", [UsageError, MissingExtra])
def test_a_run_that_is_refused_before_it_begins_leaves_nothing_to_report(
    tmp_path: Path, refusal: type[UsageError]
) -> None:
    async def refuse(*_: object) -> None:
        raise refusal("No dask scheduler answers.")

    with pytest.raises(refusal, match="No dask scheduler answers"):
        record_run(scenario(), tmp_path / "reports" / "run", refuse)
    assert list((tmp_path / "reports").iterdir()) == []


def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    """What was to be measured could be: a report for a machine says that it was not."""

    async def fail(*_: object) -> None:
        raise ProvisioningError("No server answers.")

    measured = record_run(scenario(), tmp_path / "run", fail)
    assert isinstance(measured.failure, ProvisioningError)
    assert measured.record.interruption == "No server answers."


def test_the_log_of_a_run_whose_files_are_gone_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(Unexpected, match="ValueError: x") as failure:
        measure_without_trace(scenario(), failing_with(ValueError("x")))
    (log,) = tmp_path.iterdir()
    assert str(log) in str(failure.value)


def test_nothing_secret_is_written_of_the_command_the_scenario_or_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_SERVICE_KEY", "planted-1")
    monkeypatch.setattr("sys.argv", ["harness", "run", "--set", "title=http://u:planted-2@h", "--x=planted-1"])
    settings = {"primary_conninfo": "password=planted-3", "archive_command": "copy --token=planted-4"}
    chosen = scenario(title="planted-1", database={"settings": settings})
    known = str(header(chosen, "run"))
    assert "planted" not in known
    assert "title=http://…@h" in known
    with logging_to(tmp_path / "log.txt"):
        logging.getLogger("library").warning("no answer from http://u:planted-5@h for planted-1")
    assert "no answer from http://…@h for …" in (tmp_path / "log.txt").read_text(encoding="utf-8")
