"""`python -m harness.worker`: part of a run in a process of its own, such as a side of a comparison of revisions.

Its caller may be of another version, so this is a protocol; a change that an older side could not follow makes a new
`PROTOCOL`.

Standard input: a line of JSON, which is a `Task`, and after `ready` the line `go`.

Standard output: lines of JSON, each with a `kind`. To `prepare`: `prepared`, whose fields say what there is now. To
`measure`: `ready` when everything is done that is not timed; after `go` the entries of a journal; then `done`. To
either, at any time: `failed`, with an `error` for people.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, assert_never

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import HarnessError
from harness.journal import Entries
from harness.passes import Pass
from harness.progress import Silent
from harness.scenario import Scenario
from harness.targets import TARGETS
from harness.targets.protocol import TargetContext
from harness.workloads.protocol import Workload

PROTOCOL: Final = 1
STANDARD_OUTPUT: Final = 1
STANDARD_ERROR: Final = 2


class Task(BaseModel):
    """What is to be done for a variant on a database of its own. `round` and `embedding_url` are for `measure`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Literal[1] = PROTOCOL
    task: Literal["prepare", "measure"]
    scenario: dict[str, Any]
    variant: str
    strategy: str
    database_url: str
    embedding_url: str | None = None
    round: int = 1


class Lines(Entries):
    """Entries as lines of a pipe, each in one write."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, kind: str, entry: Mapping[str, Any]) -> None:
        line = json.dumps({"kind": kind, **entry}, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]


async def work(standard_input: asyncio.StreamReader, lines: Lines) -> None:
    task = Task.model_validate_json(await standard_input.readline())
    scenario = Scenario.model_validate(task.scenario)
    match task.task:
        case "prepare":
            lines.write("prepared", await prepare(task, scenario))
        case "measure":
            await measure(task, scenario, standard_input, lines)
            lines.write("done", {})
        case _:
            assert_never(task.task)


async def prepare(task: Task, scenario: Scenario) -> Mapping[str, Any]:
    """Makes the schema that this revision's strategy needs, and loads the corpus."""
    target, corpus = TARGETS[scenario.target](), scenario.open_corpus()
    version = target.schema_version(task.strategy)
    await target.prepare(task.database_url, version, scenario.loaded(corpus))
    return {
        "schema_version": version,
        "description": target.variants()[task.strategy],
        "corpus": corpus.fingerprint,
        "requests": digest(next(scenario.open_workloads(corpus))),
    }


def digest(workload: Workload) -> str:
    """Of all that is asked: two sides whose requests differ cannot be compared."""
    asked = [
        (phase, request.operation, sorted(request.arguments.items()))
        for phase, requests in workload.by_phase.items()
        for request in requests
    ]
    return hashlib.sha256(repr(asked).encode()).hexdigest()


async def measure(task: Task, scenario: Scenario, standard_input: asyncio.StreamReader, lines: Lines) -> None:
    workload = next(scenario.open_workloads(scenario.open_corpus()))
    context = TargetContext(task.strategy, task.database_url, scenario.side_by_side, task.embedding_url)
    async with TARGETS[scenario.target]().open(context) as target:
        pass_ = Pass(scenario, workload, task.variant, task.round, target, lines, Silent())
        await pass_.prepare()
        lines.write("ready", {})
        if await standard_input.readline():
            await pass_.measure()


async def main() -> None:
    """Keeps standard output to itself: what a library prints goes to standard error."""
    lines = Lines(os.dup(STANDARD_OUTPUT))
    os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)
    standard_input = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(standard_input), sys.stdin)
    try:
        await work(standard_input, lines)
    except (HarnessError, ValidationError) as error:
        lines.write("failed", {"error": str(error)})


if __name__ == "__main__":
    asyncio.run(main())
