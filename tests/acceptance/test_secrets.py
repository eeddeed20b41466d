"""Secrets planted wherever a run meets them: none is in any file that it leaves, nor in what it shows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import harness_in

pytestmark = pytest.mark.slow

PLANTED = "planted"
ENVIRONMENT = {
    "PGPASSWORD": f"{PLANTED}-database",
    "HARNESS_SERVICE_KEY": f"{PLANTED}-service",
    "OPENAI_API_KEY": f"{PLANTED}-provider",
    "ANIMA_API_KEYS": f"{PLANTED}-api",
    "SOME_URL": f"redis://:{PLANTED}-redis@127.0.0.1/0",
    "GITHUB_TOKEN": f"{PLANTED}-github",
}
SETTINGS = (
    f"title=See http://u:{PLANTED}-title@host, {PLANTED}-provider",
    f'database.settings.primary_conninfo="host=h user=u password={PLANTED}-conninfo"',
    f'database.settings.archive_command="copy --token={PLANTED}-command {PLANTED}-github"',
)


def test_nothing_secret_is_stored_or_shown(
    tiny: Callable[..., Path], tmp_path: Path, environment: dict[str, str]
) -> None:
    harness = harness_in(tmp_path, environment | ENVIRONMENT)
    scenario = tiny("query.statements <= 3")
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    reports = [f"--report={form}=out.{form}" for form in ("junit", "html", "json", "markdown", "github")]
    done = harness("run", str(scenario), "--strategies", "batched", *settings, *reports)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout + done.stderr + harness("report", "--format", "json").stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"journal.jsonl", "record.json", "report.html", "out.junit"} <= {path.name for path in files}
    assert [path.name for path in files if PLANTED.encode() in path.read_bytes()] == []
    assert PLANTED not in shown
    assert "See http://…@host" in shown


def test_a_failure_shows_no_secret_either(
    tiny: Callable[..., Path], tmp_path: Path, environment: dict[str, str]
) -> None:
    """A server that refuses its setting says so with the value, in its log and in the reason of the failure."""
    harness = harness_in(tmp_path, environment | ENVIRONMENT)
    scenario = tiny()
    setting = f'database.settings.archive_mode="{PLANTED}-github"'
    for debug in ([], ["--debug"]):
        done = harness(*debug, "run", str(scenario), "--set", setting)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "archive_mode" in done.stderr
        assert PLANTED not in done.stdout + done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()] == []
