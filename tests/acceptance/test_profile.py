"""`harness profile` and `harness diff` as processes, on a real PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.profile_differences import differences, place
from harness.record import RunRecord
from tests.acceptance.conftest import Program

CULPRITS = [
    "anima/associations/per_pair.py:PerPairAssociations.record > SQL association.record",
    "anima/access_records/per_memory.py:PerMemoryAccessRecords.record > SQL access.raise_phi",
    "anima/access_records/per_memory.py:PerMemoryAccessRecords.record > SQL access.log",
    "anima/embeddings/ollama.py:OllamaEmbeddings._embed_batch > anima/embeddings/http_call.py:JsonEndpoint._sent > httpx: AsyncClient.post",  # noqa: E501 -- as the table says it
]


def test_the_difference_names_what_the_batched_strategy_does_no_more(
    harness: Program, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    scenario = str(tiny(requests=12, latency="lan"))
    done = harness("profile", scenario, "--rounds", "3", "--requests", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    first = next(line for line in done.stdout.splitlines() if "\N{MINUS SIGN}" in line)
    assert "anima/associations/per_pair.py" in first
    (run,) = (tmp_path / "reports").iterdir()
    assert len(list((run / "profiles").glob("*.folded"))) == 6
    record = RunRecord.model_validate_json((run / "record.json").read_bytes())
    for profile in (each for each in record.profiles if each.variant == "naive"):
        told_s = sum(profile.stacks.values()) / profile.requests
        assert told_s == pytest.approx(profile.profiled_s, rel=0.2), "waiting is part of what is told"
    (difference,) = differences(record)
    top = difference.culprits[: len(CULPRITS)]
    assert place(top[0].stack) == CULPRITS[0]
    assert {place(culprit.stack) for culprit in top} == set(CULPRITS)
    assert all(culprit.after_ms < culprit.before_ms / 10 for culprit in top)
    (run / "profile.html").unlink()
    again = harness("diff", run.name)
    assert again.returncode == 0
    assert first in again.stdout
    assert (run / "profile.html").is_file()


def test_a_run_without_profiles_says_how_to_make_them(harness: Program, tiny: Callable[..., Path]) -> None:
    harness("run", str(tiny(requests=2)))
    done = harness("diff", "latest")
    assert done.returncode == 2
    assert "harness profile" in done.stderr
    assert "Traceback" not in done.stderr
