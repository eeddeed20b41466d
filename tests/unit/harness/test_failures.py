"""What nobody foresaw: told in a sentence, with its traceback in a log and no secret in either."""

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import HarnessError, Unexpected, UsageError
from harness.failures import failures_of, foreseen, raise_first


def raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301 -- this is the inner function
    except Exception as caught:  # noqa: BLE001 -- so that it has a traceback
        return caught


def test_a_failure_that_its_author_explained_stays_as_it_is(tmp_path: Path) -> None:
    error = UsageError("No such scenario.")
    assert foreseen(error, tmp_path / "log.txt") is error
    assert foreseen(ExceptionGroup("two", [ExceptionGroup("one", [error])]), tmp_path / "log.txt") is error
    assert not list(tmp_path.iterdir())


def test_another_is_named_and_its_traceback_is_kept_without_secrets(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    failure = foreseen(raised(KeyError("http://u:planted@h")), log)
    assert isinstance(failure, Unexpected)
    assert failure.reason == "an unexpected failure, KeyError: 'http://…@h'"
    assert str(failure) == (
        f"An unexpected failure, KeyError: 'http://…@h'. Its traceback is in {log}, and --debug shows it."
    )
    assert "in raised" in log.read_text(encoding="utf-8")
    assert "planted" not in log.read_text(encoding="utf-8")


def test_one_that_nobody_foresaw_outweighs_the_explained_ones_beside_it(tmp_path: Path) -> None:
    failure = foreseen(ExceptionGroup("two", [UsageError("explained"), ValueError("not")]), tmp_path / "log.txt")
    assert "ValueError: not" in str(failure)


def test_an_installation_that_lacks_a_package_is_no_invalid_run(tmp_path: Path) -> None:
    error = ModuleNotFoundError("No module named 'async_timeout'", name="async_timeout.shim")
    failure = foreseen(ExceptionGroup("one", [error]), tmp_path / "log.txt")
    assert isinstance(failure, UsageError)
    assert str(failure).startswith("This needs async_timeout, which is not installed here: ")


@pytest.mark.parametrize("name", ["harness.gone", "anima.gone", None])
def test_a_module_of_ours_that_is_missing_is_a_fault_of_ours(name: str | None, tmp_path: Path) -> None:
    assert isinstance(foreseen(ModuleNotFoundError("gone", name=name), tmp_path / "log.txt"), Unexpected)


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name 'strategy' from 'anima'", name="anima", path="/elsewhere/anima/__init__.py"),
        ModuleNotFoundError("No module named 'anima.strategy'; 'anima' is not a package", name="anima.strategy"),
    ],
)
def test_another_package_anima_that_was_found_first_is_named(
    error: ImportError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = ModuleType("anima")
    another.__file__ = "/elsewhere/anima.py"
    monkeypatch.setitem(sys.modules, "anima", another)
    failure = foreseen(error, tmp_path / "log.txt")
    assert isinstance(failure, UsageError)
    assert str(failure).startswith("The package `anima` in /elsewhere/anima.py hides the one that is measured here.")


def test_without_a_directory_the_log_is_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failure = foreseen(raised(ValueError("x")))
    (log,) = tmp_path.iterdir()
    assert str(log) in str(failure)


def test_where_no_log_can_be_written_the_way_to_the_traceback_is_told(tmp_path: Path) -> None:
    failure = foreseen(ValueError("x"), tmp_path / "missing" / "log.txt")
    assert str(failure) == "An unexpected failure, ValueError: x. --debug shows its traceback."


def test_every_step_is_taken_and_the_first_failure_raised_with_the_others_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[str] = []

    def fail(name: str) -> None:
        raise HarnessError(f"{name} failed")

    steps = [lambda: fail("one"), lambda: taken.append("two"), lambda: fail("three")]
    failures = failures_of(steps, tmp_path / "log.txt")
    assert taken == ["two"]
    with pytest.raises(HarnessError, match="one failed"):
        raise_first([None, *failures])
    assert capsys.readouterr().err == "harness: three failed\n"
    raise_first([None])
