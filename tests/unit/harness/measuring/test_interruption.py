import re
import shlex
from pathlib import Path

from harness.measuring.recording import interruption_told


def test_an_interruption_says_how_to_go_on() -> None:
    told = interruption_told(Path("reports/guide-1"), {})
    assert "`harness run --resume reports/guide-1`" in told
    assert "`harness report reports/guide-1`" in told


def test_a_run_of_revisions_cannot_go_on_and_is_only_shown() -> None:
    told = interruption_told(Path("reports/local-1"), {"revisions": {"main": "1a2b"}})
    assert "--resume" not in told
    assert "`harness report reports/local-1`" in told


def test_what_a_shell_would_take_apart_is_quoted() -> None:
    told = interruption_told(Path("bob's runs/local-1"), {})
    command = re.search("`harness run (.*?)`", told)
    assert command is not None
    assert shlex.split(command[1]) == ["--resume", "bob's runs/local-1"]
