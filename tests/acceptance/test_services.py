"""A service under test that is away, is another one, or dies: a sentence, an exit code, and what was measured stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from harness.record import RunRecord
from tests.acceptance.conftest import Program
from tests.acceptance.test_harness_run import measuring, only_run
from tests.waiting import until

pytestmark = pytest.mark.slow

Scenario = Callable[..., Path]


async def test_a_service_that_dies_ends_the_run_with_its_last_words(
    tiny: Scenario, tmp_path: Path, environment: dict[str, str]
) -> None:
    scenario = tiny("query.p95 <= 10s", requests=20_000)
    settings = ["--set", "target=http", "--strategies", "batched", "--report", "junit=out.xml"]
    run = subprocess.Popen(  # noqa: ASYNC220 -- only its end is waited for
        [sys.executable, "-m", "harness.cli", "run", str(scenario), *settings],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    await until(lambda: measuring(run, tmp_path))
    (service,) = [
        process for process in psutil.Process(run.pid).children(recursive=True) if "serve" in process.cmdline()
    ]
    os.kill(service.pid, signal.SIGKILL)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 4, output
    assert "The service `anima serve` ended by itself (signal SIGKILL). It said:" in output
    assert "Traceback" not in output
    record = RunRecord.model_validate_json((only_run(tmp_path) / "record.json").read_bytes())
    assert record.variants[0].samples
    assert "ended by itself (signal SIGKILL)" in str(record.interruption)
    assert "ended by itself (signal SIGKILL)" in (tmp_path / "out.xml").read_text(encoding="utf-8")
    assert (only_run(tmp_path) / "report.html").exists()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://127.0.0.1:9", "Nothing answers at http://127.0.0.1:9"),
        ("http://user:planted@127.0.0.1:9", "the URL contains credentials"),
        ("127.0.0.1:9", "begins with http:// or https://"),
    ],
)
def test_a_service_that_is_not_there_is_a_sentence(
    harness: Program, tiny: Scenario, tmp_path: Path, url: str, sentence: str
) -> None:
    arguments = ("--set", "target=http", "--strategies", "external", "--set", f"service_url={url}")
    done = harness("run", str(tiny()), *arguments, "--report", "junit=out.xml")
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert "planted" not in done.stdout + done.stderr
    assert not any(b"planted" in content for content in stored)
    if "planted" not in url and "//" in url:
        assert ET.parse(tmp_path / "out.xml").getroot().get("errors") == "1"
