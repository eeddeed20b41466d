"""Several processes that ask have one service, as users of it do; it is gone when they are done."""

import sys
from pathlib import Path

import psutil

from harness.measuring.operations import Request
from harness.measuring.scenario_files import parsed
from harness.measuring.targets import open_target
from harness.measuring.targets.protocol import TargetContext

SERVICE = """
import http.server, os, pathlib, sys
class Answer(http.server.SimpleHTTPRequestHandler):
    pass
with pathlib.Path("started").open("a") as started:
    print(os.getpid(), file=started)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


async def test_who_is_told_of_a_service_starts_none(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    document = {
        "name": "files",
        "target": "http",
        "service": {"command": [sys.executable, "service.py", "{port}"]},
        "operations": {"list": {"path": "/"}},
        "phases": [{"requests": 1}],
    }
    target = open_target(parsed(document, tmp_path))
    async with target.shared(TargetContext("current", "postgresql://unused")) as context:
        async with target.open(context) as one, target.open(context) as other:
            for each in (one, other):
                await each.perform(Request("list", {}))
        [started] = (tmp_path / "started").read_text(encoding="utf-8").split()
        assert psutil.pid_exists(int(started))
    assert not psutil.pid_exists(int(started))
