"""A run that goes on, watched: what the page and the collector of figures are answered, and who is not."""

import shutil
import threading
from collections.abc import Generator
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from harness.command_line import harness
from harness.commands.watch import LOOPBACK, Followed, handler_of
from harness.journal import open_journal
from harness.measuring.recording import header
from harness.measuring.scenario_files import load_scenario
from harness.showing.exposition import exposition
from harness.showing.renderers.html.live import live_page, live_state
from tests.records import HOSTILE, guide_record, record, samples, variant


@pytest.fixture
def going_on(tmp_path: Path) -> Path:
    """A run's directory, whose journal has no end yet."""
    directory = tmp_path / "run"
    with open_journal(directory) as entries:
        entries.write("run", header(load_scenario("guide", strategies="naive"), "run"))
        entries.write("variant", {"name": "naive", "description": "", "schema_version": 7})
        for each in samples([0.1, 0.2], statements=3):
            entries.sample("naive", each)
    return directory


@pytest.fixture
def port(going_on: Path) -> Generator[int]:
    with ThreadingHTTPServer((LOOPBACK, 0), handler_of(Followed(going_on))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def asked(port: int, path: str, host: str = "", method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection(LOOPBACK, port, timeout=60)
    connection.request(method, path, headers={"Host": host or f"{LOOPBACK}:{port}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_it_shows_what_was_measured_until_now(port: int) -> None:
    assert asked(port, "/")[0] == 200
    status, now = asked(port, "/now")
    assert status == 200
    assert "GOING ON" in now
    assert "naive" in now
    assert "(200 ms)" in now
    assert now.count("<svg") == 1


def test_a_collector_reads_the_figures(port: int) -> None:
    status, text = asked(port, "/metrics")
    found = {each.name: each for each in text_string_to_metric_families(text)}
    assert status == 200
    assert [each.value for each in found["harness_requests"].samples] == [2]
    latencies = {each.labels["quantile"]: each.value for each in found["harness_latency_seconds"].samples}
    assert latencies == {"0.5": 0.1, "0.95": 0.2}


@pytest.mark.parametrize(
    ("path", "host", "method", "status"),
    [
        ("/", "evil.example:80", "GET", 403),
        ("/../../etc/passwd", "", "GET", 404),
        ("/now?x=1", "", "GET", 404),
        ("/now", "", "POST", 501),
    ],
)
def test_others_are_refused(port: int, path: str, host: str, method: str, status: int) -> None:
    assert asked(port, path, host, method)[0] == status


def test_a_journal_that_is_gone_is_said_to_be(port: int, going_on: Path) -> None:
    shutil.rmtree(going_on)
    status, text = asked(port, "/now")
    assert (status, "cannot be read" in text or "No such file" in text) == (503, True)


def test_what_takes_long_is_not_done_at_every_request(going_on: Path) -> None:
    now_s = [0.0]
    followed = Followed(going_on, lambda: now_s[0])
    first = followed.metrics()
    with (going_on / "journal.jsonl").open("a", encoding="utf-8") as file:
        last = (going_on / "journal.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        file.write(f"{last}\n")
    assert followed.metrics() == first
    now_s[0] = 2.0
    assert followed.metrics() != first


def test_hostile_texts_stay_texts() -> None:
    run = record(variant(f"{HOSTILE}\n", samples([0.1] * 3, HOSTILE, error=HOSTILE)))
    assert "<img" not in live_state(run, has_ended=False)
    (labels,) = {
        tuple(sorted(each.labels.items()))
        for family in text_string_to_metric_families(exposition(run))
        for each in family.samples
        if "quantile" not in each.labels
    }
    assert dict(labels)["operation"] == HOSTILE


def test_a_run_that_has_ended_shows_its_verdict() -> None:
    assert "All 7 budgets hold." in live_state(guide_record(), has_ended=True)


def test_nothing_measured_yet_is_a_page_too() -> None:
    assert "Nothing has been measured yet." in live_state(record(), has_ended=False)


def test_the_page_runs_its_own_script_alone() -> None:
    assert "default-src 'none'" in live_page()
    assert live_page().count("<script>") == 1


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused = CliRunner().invoke(harness, ["watch", "nothing", "--output", str(tmp_path)])
    assert "There is no run 'nothing'" in str(refused.exception)
