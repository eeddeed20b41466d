"""How `anima` ends after a failure: a sentence, an exit code, and a traceback for nobody who did not ask for one."""

import sys

import pytest

from anima import __main__ as program
from anima.errors import DatabaseUnavailable, InvalidInput


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InvalidInput("No such provider."), 2, "anima: No such provider.\n"),
        (DatabaseUnavailable("Away."), 2, "anima: Away.\n"),
        (
            PermissionError(13, "Permission denied", "/data"),
            1,
            "anima: Permission denied: /data. `anima --debug` shows",
        ),
        (OSError(28, "No space left on device"), 1, "anima: No space left on device. `anima --debug` shows"),
        (KeyError("postgresql://u:secret@h/d"), 1, "anima: An unexpected KeyError: please report it"),
    ],
    ids=["usage", "database", "rights", "disk", "unexpected"],
)
def test_a_failure_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    said: str,
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(program.anima, "invoke", fail)
    monkeypatch.setattr(sys, "argv", ["anima", "new-key", "laptop"])
    with pytest.raises(SystemExit) as end:
        program.main()
    told = capsys.readouterr().err
    assert end.value.code == code
    assert told.startswith(said)
    assert "secret" not in told


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(program.anima, "invoke", fail)
    monkeypatch.setattr(sys, "argv", ["anima", "--debug", "new-key", "laptop"])
    with pytest.raises(OSError, match="No space left"):
        program.main()
