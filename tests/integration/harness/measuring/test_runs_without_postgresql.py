"""A service that runs already has a database of its own, so a run of it starts no PostgreSQL."""

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import ProvisioningError
from harness.measuring import scenario_files
from harness.measuring.recording import measure_without_trace
from harness.measuring.servers import provisioners
from harness.measuring.servers.provisioners._shared.databases import free_port

SCENARIO = """
name = "running"
target = "http"
service.url = "{url}"
operations.front = {{ path = "/" }}
phases = [{{ operation = "front", requests = 5, time_s = 20 }}]
{further}
"""


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """A test prints nothing."""


@pytest.fixture
def url() -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def scenario(tmp_path: Path, url: str, further: str = "") -> Path:
    file = tmp_path / "running.toml"
    file.write_text(SCENARIO.format(url=url, further=further), encoding="utf-8")
    return file


def test_a_service_that_runs_is_measured_where_no_postgresql_can_be_started(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = scenario(tmp_path, url)
    chosen = scenario_files.load_scenario(str(file))
    monkeypatch.setattr(provisioners, "PROVISIONERS", {})
    record = measure_without_trace(chosen)
    [variant] = record.variants
    assert (record.state, [sample.error for sample in variant.samples]) == ("complete", [None] * 5)
    assert record.environment.server["provisioner"] == "absent"


def test_what_the_scenario_names_for_a_database_is_told_to_be_unused(url: str, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("SELECT 1;", encoding="utf-8")
    chosen = scenario_files.load_scenario(str(scenario(tmp_path, url, 'database.schema = "schema.sql"')))
    assert any("is made nowhere, since the service runs already" in doubt for doubt in chosen.doubts)


def test_a_server_that_cannot_be_reached_is_told_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further = 'variants.own = { command = ["serve", "{port}"] }\nvariants.running = { }'
    file = scenario(tmp_path, "http://127.0.0.1:1", further)
    chosen = scenario_files.load_scenario(
        str(file), database=f"postgresql://nobody@127.0.0.1:{free_port('127.0.0.1')}/none"
    )

    def drawn(*_arguments: object) -> None:
        pytest.fail("the workload is drawn")

    monkeypatch.setattr(type(chosen), "workload_of", drawn)
    with pytest.raises(ProvisioningError, match="No connection to PostgreSQL at "):
        measure_without_trace(chosen)
