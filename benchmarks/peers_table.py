"""The table of docs/peers.md: `frontier` beside what people would use instead, in turns on one server.

    python benchmarks/peers_table.py DIRECTORY --size 10000 --rounds 3

`DIRECTORY` gets the runs, and `table.md` and `table.json` of them;
those of an earlier call come first. `--size 100000` and `--embedding-ms 50` measure
the same with more memories, or with embeddings that take that long. A run takes about ten minutes on a quiet machine.
"""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from peers.behaviour import behaviour_of
from peers.table import Figures, behaviours_markdown, figures_from, figures_of, markdown
from peers.target import OURS, Peers

from harness.children import environment, python
from harness.errors import ExitCode, HarnessError, UsageError
from harness.journal import read
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings
from harness.record import RunRecord

SCENARIOS: Final = Path(__file__).resolve().parents[1] / "scenarios"
TARGETS: Final = {
    (10_000, 0, "peers"): "Peers",
    (10_000, 0, "peers-filtered"): "Filtered",
    (100_000, 0, "peers"): "Of100000",
    (100_000, 0, "peers-filtered"): "Filtered100000",
    (10_000, 50, "peers"): "At50Ms",
    (500, 0, "peers"): "Few",
    (500, 0, "peers-filtered"): "FewFiltered",
}
FINISHED: Final = (0, 1, 3, 4)
"""Of `harness run`: a busy machine makes a run invalid for its verdict, and not for a ratio of what took turns."""


async def run(scenario: str, target: str, stated: argparse.Namespace, variants: str) -> RunRecord:
    output = stated.directory
    before = journals(output)
    settings = (f"target=peers.target:{target}", f"rounds={stated.rounds}", *stated.set)
    sets = [part for each in settings for part in ("--set", each)]
    chosen = ["--strategies", variants] if variants else []
    command = python(
        "-m", "harness", "run", str(SCENARIOS / f"{scenario}.toml"), "--output", str(output), *sets, *chosen
    )
    process = await asyncio.create_subprocess_exec(*command, env=environment(PYTHONSAFEPATH=""))
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()  # It keeps what it has measured, and ends its server.
            await process.wait()
    if process.returncode not in FINISHED:
        raise HarnessError(f"`{' '.join(command)}` ended with exit code {process.returncode}.")
    [made] = journals(output) - before
    return read(made)


def journals(output: Path) -> set[Path]:
    return set(output.glob("*/journal.jsonl"))


async def behaviours(variants: list[str]) -> dict[str, dict[str, Any]]:
    starting = await provisioner(DatabaseSettings(provisioner="embedded"))
    async with starting.start({}) as server:
        return {variant: (await behaviour_of(server, variant)).as_json() for variant in variants}


async def measured(chosen: argparse.Namespace) -> None:
    runs = earlier(chosen)
    record: RunRecord | None = None
    names = chosen.peers.split(",") if chosen.peers else list(Peers.variants)
    figures: list[list[Figures]] = [[] for _ in range(chosen.rounds)]
    for scenario in ("peers", "peers-filtered"):
        target = TARGETS.get((chosen.size, chosen.embedding_ms, scenario))
        some = [name for name in names if scenario == "peers" or name not in OURS]
        if target and some and not (chosen.without_filtered and scenario == "peers-filtered"):
            record = await run(scenario, target, chosen, ",".join(some))
            for known, found in zip(figures, figures_of(record), strict=True):
                known.extend(found)
    runs += figures
    assert record is not None, "each size has a scenario"
    write(chosen.directory, chosen, record, runs, {})  # So that it is there, whatever becomes of the rest.
    told = await behaviours(names)
    write(chosen.directory, chosen, record, runs, told)


def earlier(chosen: argparse.Namespace) -> list[list[Figures]]:
    """The runs that the table in the directory has. Raises `UsageError` where it is of something else."""
    path = chosen.directory / "table.json"
    if not path.is_file():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    if (document["size"], document["embedding_ms"]) != (chosen.size, chosen.embedding_ms):
        raise UsageError(
            f"{path} is of {document['size']:,} memories and embeddings after {document['embedding_ms']} ms. "
            "Name another directory."
        )
    return [[figures_from(each) for each in run] for run in document["runs"]]


def write(
    directory: Path, chosen: argparse.Namespace, record: RunRecord, runs: list[list[Figures]], told: dict[str, Any]
) -> None:
    software = record.environment.software
    several = "s" if len(runs) > 1 else ""
    heading = f"{chosen.size:,} memories, embeddings after {chosen.embedding_ms} ms, {len(runs)} round{several}"
    text = f"## {heading}\n\n{markdown(runs)}\n### Beside latencies\n\n{behaviours_markdown(told)}"
    (directory / "table.md").write_text(text, encoding="utf-8")
    document = {
        "size": chosen.size,
        "embedding_ms": chosen.embedding_ms,
        "started_at": record.started_at.isoformat(),
        "host": record.environment.host,
        "software": software,
        "runs": [[asdict(each) for each in run] for run in runs],
        "behaviours": told,
    }
    (directory / "table.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the runs and the table are kept")
    parser.add_argument("--size", type=int, default=10_000, choices=sorted({size for size, _, _ in TARGETS}))
    parser.add_argument("--embedding-ms", type=int, default=0, choices=(0, 50))
    parser.add_argument("--rounds", type=int, default=1, help="how often all are measured, on fresh clones")
    parser.add_argument("--peers", default="", help="only these, separated by commas")
    parser.add_argument("--without-filtered", action="store_true", help="only searches of all memories, and adds")
    parser.add_argument("--set", action="append", default=[], help="a key of the scenario, such as slices=10")
    chosen = parser.parse_args()
    chosen.directory.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(measured(chosen))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except HarnessError as error:
        print(f"peers_table: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
