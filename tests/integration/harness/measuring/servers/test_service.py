"""A service of anybody's: started, waited for, told why it is not ready, and ended with all that it has started."""

import sys
from pathlib import Path

import aiohttp
import psutil
import pytest

from harness.children import environment
from harness.errors import HarnessError, ProvisioningError
from harness.measuring.servers.service import Launch, ServiceProcesses, serving
from tests.waiting import until

SERVICE = """
import http.server, os, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            print("the service has enough", flush=True)
            os._exit(3)
        if self.path == "/work":
            subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.5: pass"])
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(str(helper.pid).encode())

    def log_message(self, *_):
        pass

helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("\\n".join(f"line {n}" for n in range(30)), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def launch(*arguments: str, **changed: object) -> Launch:
    stated = {"ready": "/health", "start_timeout_s": 60.0, "environment": environment()} | changed
    return Launch("notes", [sys.executable, "-c", SERVICE, *arguments], **stated)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_what_a_service_has_started_ends_with_it() -> None:
    async with serving(launch("{port}")) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/health") as answer:
            helper = int(await answer.text())
        assert psutil.pid_exists(helper)

    async def gone() -> bool:
        return not psutil.pid_exists(helper) or psutil.Process(helper).status() == psutil.STATUS_ZOMBIE

    await until(gone)


async def test_processor_time_of_a_service_has_that_of_what_it_started_and_that_has_ended() -> None:
    async with serving(launch("{port}")) as url, aiohttp.ClientSession() as session:
        processes = ServiceProcesses(url)
        before_s = await processes.used_s()
        async with session.get(f"{url}/work") as answer:
            await answer.read()
        after_s = await processes.used_s()
        assert before_s is not None
        assert after_s is not None
        assert after_s - before_s >= 0.4, "what the system counts, it counts in hundredths of a second"
    assert await processes.used_s() is None


async def test_processor_time_of_what_nobody_has_started_is_not_told(unused_tcp_port: int) -> None:
    for url in (None, f"http://127.0.0.1:{unused_tcp_port}"):
        assert await ServiceProcesses(url).used_s() is None


async def test_a_service_that_ends_in_the_middle_is_told_with_its_last_lines() -> None:
    async def use() -> None:
        async with serving(launch("{port}")) as url, aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{url}/end")
            await until(never)

    with pytest.raises(HarnessError) as error:
        await use()
    told = str(error.value)
    assert told.startswith("The service notes ended by itself (exit code 3). It said:\n  line 11\n")
    assert "  the service has enough\n" in told


async def never() -> bool:
    return False


@pytest.mark.slow
async def test_a_service_on_another_port_than_its_own_is_told(unused_tcp_port: int) -> None:
    with pytest.raises(ProvisioningError) as error:
        async with serving(launch(str(unused_tcp_port), start_timeout_s=2.0)):
            pass
    assert f"it listens on port {unused_tcp_port}, and was told to on " in str(error.value)


async def test_a_service_that_is_never_ready_is_told_with_what_it_answers() -> None:
    with pytest.raises(ProvisioningError, match="within 2 s: it answers GET /ready with HTTP status 404") as error:
        async with serving(launch("{port}", ready="/ready", start_timeout_s=2.0)):
            pass
    assert "It said:\n  line 10\n" in str(error.value)


@pytest.mark.parametrize(
    ("command", "directory", "told"),
    [
        ("no-such-program", ".", "there is no program 'no-such-program'"),
        ("./no-such-program", ".", "there is no program './no-such-program'"),
        ("python3", "no-such-folder", "there is no folder no-such-folder"),
    ],
)
async def test_what_cannot_be_started_is_told(command: str, directory: str, told: str, tmp_path: Path) -> None:
    chosen = Launch("notes", [command], "/", environment(), str(tmp_path if directory == "." else directory))
    with pytest.raises(ProvisioningError, match=told):
        async with serving(chosen):
            pass


async def test_a_program_is_found_beside_this_python_where_its_environment_is_not_activated(tmp_path: Path) -> None:
    """As the `uvicorn` of `.venv/bin/harness run notes.toml` is, in the same environment."""
    command = [Path(sys.executable).name, "-c", SERVICE, "{port}"]
    elsewhere = environment() | {"PATH": str(tmp_path)}
    async with serving(Launch("notes", command, "/health", elsewhere)) as url, aiohttp.request("GET", url) as answer:
        assert answer.status == 404
