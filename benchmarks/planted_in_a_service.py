"""How often `harness compare` finds that a service became slower: `python benchmarks/planted_in_a_service.py 10`.

Asks examples/notes for its newest notes, in pairs of comparisons of the default size. In the first of a pair nothing
differs, so whatever is found is a false alarm. In the second, the service waits before each request for a fifth of the
median that the first has just measured: that is to be found. Prints a line for each, and then the counts.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NOTES: Final = Path(__file__).parents[1] / "examples" / "notes"
PLANTED: Final = 0.2
"""Of the median that a client waits."""

SERVICE: Final = '''
"""The notes, whose service does nothing for PLANTED_S seconds before each request."""
import os
import time

from notes import app as notes

PLANTED_S = float(os.environ["PLANTED_S"])


async def app(scope, receive, send):
    if scope["type"] == "http":
        time.sleep(PLANTED_S)
    await notes(scope, receive, send)
'''

SCENARIO: Final = """
name = "planted"
target = "http"
database = {{ provisioner = "embedded", schema = "schema.sql", seed = "seed.sql", size = 10000 }}
service.command = [{python}, "-m", "uvicorn", "planted:app", "--port", "{{port}}"]
service.env = {{ DATABASE_URL = "{{database_url}}", PLANTED_S = "0" }}
service.ready = "/health"
operations.newest = {{ path = "/notes", query = {{ author = "author 7" }} }}
phases = [{{ operation = "newest", requests = 200, warm_up = 20, time_s = 60 }}]
variants.before = {{}}
variants.same = {{}}
variants.slower = {{ env = {{ PLANTED_S = "{planted_s}" }} }}
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison came to; the verdicts are by figure."""

    outcome: str
    verdicts: dict[str, str]
    baseline_p50_s: float
    line: str

    @property
    def counted_as(self) -> str:
        if self.outcome == "INVALID":
            return "invalid"
        return "slower" if "slower" in self.verdicts.values() else "faster" if self.is_faster else "nothing found"

    @property
    def is_faster(self) -> bool:
        return "faster" in self.verdicts.values()


def compared(directory: Path, candidate: str, planted_s: float = 0.0) -> Compared:
    scenario = SCENARIO.format(python=json.dumps(sys.executable), planted_s=planted_s)
    (directory / "planted.toml").write_text(scenario, encoding="utf-8")
    command = [sys.executable, "-m", "harness.cli", "compare", "before", candidate, "--scenario", "planted.toml"]
    done = subprocess.run(  # noqa: S603 -- this harness
        command, cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode not in {0, 1, 3, 4}:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(max((directory / "reports").glob("*/comparison.json")).read_bytes())
    comparison = found["comparison"]
    metrics = {each["metric"]: each for each in comparison["metrics"]}
    figures = [
        f"{name} {each['difference']['ratio']:.2f} x {each['difference']['word']}, sees from {each['detectable']:.0%}"
        for name, each in metrics.items()
    ]
    return Compared(
        comparison["outcome"],
        {name: each["difference"]["word"] for name, each in metrics.items()},
        metrics["p50"]["baseline_s"],
        f"{comparison['outcome']}: p50 {metrics['p50']['baseline_s'] * 1000:.2f} ms; {'; '.join(figures)}",
    )


def main(pairs: int) -> None:
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        shutil.copytree(NOTES, directory, dirs_exist_ok=True)
        (directory / "planted.py").write_text(SERVICE, encoding="utf-8")
        for _ in range(pairs):
            same = compared(directory, "same")
            print(f"nothing planted: {same.line}", flush=True)
            slower = compared(directory, "slower", PLANTED * same.baseline_p50_s)
            print(f"{PLANTED:.0%} planted: {slower.line}", flush=True)
            counts.update([f"nothing planted, {same.counted_as}", f"{PLANTED:.0%} planted, {slower.counted_as}"])
    for outcome, times in sorted(counts.items()):
        print(f"{outcome}: {times} of {pairs}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
