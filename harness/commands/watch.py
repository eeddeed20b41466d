"""`harness watch`: a run that goes on, in a browser of this machine, and for who collects figures."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import Final

import click

from harness import journal, runs
from harness.errors import ExitCode, HarnessError, UsageError
from harness.record import RunRecord
from harness.showing.exposition import exposition
from harness.showing.renderers.html.live import live_page, live_state
from harness.signals import as_interrupts

LOOPBACK: Final = "127.0.0.1"
FRESH_S: Final = 1.5
SHARE_MAX: Final = 0.1
"""Of one processor, which the measurement shares: what took a second to read and draw is not done again for ten."""

HTML, PLAIN = "text/html; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"


def watch(name: str, output: Path, port: int) -> ExitCode:
    """Serves until it is interrupted; the run itself does not know of it."""
    followed = Followed(runs.find(name, output))
    # What drawing takes decides when it is done again, and the first time it also takes what is imported for it.
    live_state(followed.record(), has_ended=False)
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), handler_of(followed))
    except OSError as error:
        raise UsageError(f"Port {port} cannot be listened on ({error.strerror}). Name another with --port.") from error
    click.echo(
        f"http://{LOOPBACK}:{server.server_port}/ shows {followed.directory}. Ctrl-C ends this, and not the run."
    )
    with server, as_interrupts():
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return ExitCode.PASS
    return ExitCode.PASS


class Followed:
    """The run in a directory as it is now, read again no more often than costs little, whoever asks side by side."""

    def __init__(self, directory: Path, clock: Callable[[], float] = perf_counter) -> None:
        self.directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, float]] = {}

    def record(self) -> RunRecord:
        """Its journal, since a record is there only when the run has ended. Raises `UsageError`."""
        path = self.directory / journal.FILE_NAME
        return journal.read(path) if path.is_file() else runs.load_record(self.directory)

    def page(self) -> str:
        return live_page()

    def state(self) -> str:
        return self._lately("state", lambda record: live_state(record, has_ended=record.interruption != journal.NO_END))

    def metrics(self) -> str:
        return self._lately("metrics", exposition)

    def _lately(self, what: str, make: Callable[[RunRecord], str]) -> str:
        with self._lock:
            text, due_s = self._known.get(what, ("", 0.0))
            began_s = self._clock()
            if not text or began_s >= due_s:
                text = make(self.record())
                ended_s = self._clock()
                self._known[what] = text, ended_s + max(FRESH_S, (ended_s - began_s) / SHARE_MAX)
            return text


def handler_of(followed: Followed) -> type[BaseHTTPRequestHandler]:
    """Answers GET alone, and only who asks for this machine by its address: another site's name may lead here too."""
    pages = {"/": (HTML, followed.page), "/now": (HTML, followed.state), "/metrics": (PLAIN, followed.metrics)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0]
            if host not in {LOOPBACK, "localhost"}:
                self._answer(HTTPStatus.FORBIDDEN, PLAIN, f"Ask for http://{LOOPBACK}, with the port.\n")
            elif self.path not in pages:
                self._answer(HTTPStatus.NOT_FOUND, PLAIN, f"There are {', '.join(pages)}.\n")
            else:
                kind, make = pages[self.path]
                try:
                    self._answer(HTTPStatus.OK, kind, make())
                except HarnessError as error:
                    self._answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, f"{error}\n")

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the library's
            """Nobody waits for a line per request."""

    return Handler
