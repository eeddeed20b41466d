"""The worker as a process: what it is told, and what it tells."""

import json
import subprocess
import sys
from typing import Any

from harness.measuring import scenario_files
from harness.measuring.worker import PROTOCOL

NULL = ('target="null"', "strategies=['null']", 'baseline="null"', 'candidate="null"', "budgets=[]", "corpus.size=20")
DUMPED = scenario_files.load_scenario("smoke", settings=NULL).for_worker
TASK = {"scenario": DUMPED, "variant": "main", "strategy": "null", "database_url": ""}


def tell(*lines: object) -> tuple[list[dict[str, Any]], int]:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    command = [sys.executable, "-m", "harness.worker"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def test_a_prepared_database_says_what_it_was_prepared_for() -> None:
    (told,), code = tell({"protocol": PROTOCOL, "task": "prepare"} | TASK)
    assert code == 0
    assert told.keys() == {"kind", "schema_version", "description", "corpus", "requests"}
    assert (told["kind"], told["schema_version"]) == ("prepared", 0)


def test_a_pass_is_timed_after_go_and_told_as_a_journal() -> None:
    told, code = tell({"task": "measure", "round": 3} | TASK, "go")
    assert code == 0
    kinds = [entry["kind"] for entry in told]
    assert (kinds[0], kinds[-2:]) == ("ready", ["variant_end", "done"])
    samples = [entry for entry in told if entry["kind"] == "sample"]
    assert len(samples) == sum(phase["requests"] for phase in DUMPED["phases"])
    assert {(entry["variant"], entry["round"]) for entry in samples} == {("main", 3)}


def test_nothing_is_timed_for_a_caller_who_is_gone() -> None:
    told, code = tell({"task": "measure"} | TASK)
    assert ([entry["kind"] for entry in told], code) == (["ready", "done"], 0)


def test_what_cannot_be_done_is_told_to_people() -> None:
    (unknown,), _ = tell({"protocol": 2, "task": "measure"} | TASK)
    assert unknown["kind"] == "failed"
    assert "protocol" in unknown["error"]
    (other,), _ = tell({"task": "measure"} | TASK | {"scenario": DUMPED | {"candidate": "nul"}})
    assert "Did you mean 'null'" in other["error"]
