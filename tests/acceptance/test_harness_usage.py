"""Wrong input: a sentence that says what is wrong and what was meant, exit code 2, and never a traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Program

Scenario = Callable[..., Path]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "giude"], "Did you mean 'guide'?"),
        (["run", "no-such.toml"], "There is no scenario file no-such.toml"),
        (["run", "smoke", "--strategies", "naive,bached"], "Did you mean 'batched'?"),
        (["run", "smoke", "--database", "dockr"], "dockr"),
        (["rnu"], "Did you mean 'run'?"),
        (["report"], "There is no run under reports"),
        (["report", "yesterday"], "There is no run 'yesterday'"),
        (["report", "--format", "pdf"], "pdf"),
    ],
)
def test_wrong_words_are_named(harness_here: Program, arguments: list[str], complaint: str) -> None:
    done = harness_here(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("replaced", "by", "complaint"),
    [
        ("requests = 4", "reqests = 4", "unknown key 'phases.0.reqests'. Did you mean 'requests'?"),
        ("size = 40", "sice = 40", "Did you mean 'size'?"),
        ('latency = "local"', 'latency = "locl"', "Did you mean 'local'?"),
        ('workload = "query"', 'workload = "qurey"', "Did you mean 'query'?"),
        ("distinct_texts = 3", "distinct_text = 3", "Did you mean 'distinct_texts'?"),
        ("budgets = []", 'budgets = ["query.p95 <= 3 parsecs"]', "parsecs"),
        ("budgets = []", 'budgets = ["query.p59x <= 3ms"]', "column 10"),
        ("budgets = []", 'budgets = ["add.p95 <= 3ms"]', "add"),
        ("size = 40", "size = 40\ntiers = { active = 0.5, threads = 0.5 }", "threads"),
        ('name = "tiny"', "name = ", "TOML"),
        ('candidate = "batched"', 'candidate = "fix3"', "fix3"),
        ('title = "Seconds"\n', "", "'title' is missing"),
        ('kind = "generated"\n', "", "'corpus.kind' is missing. Known: generated, file."),
        ('kind = "generated"', 'kind = "genrated"', "Did you mean 'generated'?"),
    ],
)
def test_a_scenario_that_cannot_be_followed_names_the_place(
    harness_here: Program, tiny: Scenario, replaced: str, by: str, complaint: str
) -> None:
    path = tiny()
    text = path.read_text(encoding="utf-8")
    assert replaced in text
    path.write_text(text.replace(replaced, by), encoding="utf-8")
    done = harness_here("run", str(path))
    assert done.returncode == 2
    assert complaint in done.stderr
    assert str(path) in done.stderr or "budget" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_corpus_line_that_is_not_json_is_named(harness: Program, tiny: Scenario, tmp_path: Path) -> None:
    corpus = tmp_path / "memories.jsonl"
    corpus.write_text('{"content": "one"}\nnot json\n', encoding="utf-8")
    path = tiny()
    text = path.read_text(encoding="utf-8").replace(
        'kind = "generated"\nsize = 40', f'size = 2\nkind = "file"\nmemories_path = "{corpus}"'
    )
    path.write_text(text, encoding="utf-8")
    done = harness("run", str(path))
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback_and_changes_no_exit_code(harness: Program) -> None:
    done = harness("--debug", "run", "giude")
    assert "Traceback" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        ("KeyError('planted')", 4, "harness: An unexpected failure, KeyError: 'planted'. Its traceback is in "),
        # click would take it for a reader of its output who left, and exit with 1.
        ("BrokenPipeError(32, 'Broken pipe')", 4, "BrokenPipeError: [Errno 32] Broken pipe. Its traceback is in "),
        ("PermissionError(13, 'Permission denied', 'x.json')", 2, "harness: x.json cannot be used: Permission denied."),
        ("KeyboardInterrupt()", 130, ""),
    ],
)
def test_what_nobody_foresaw_is_a_sentence_and_never_exits_with_1(
    error: str, code: int, sentence: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    program = f"""
from harness import cli
from harness.commands import listing
def broken(output):
    raise {error}
listing.inventory = broken
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "list"],
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    logs = list(tmp_path.glob("harness-*.log"))
    assert [str(log) in done.stderr and "in broken" in log.read_text(encoding="utf-8") for log in logs] == (
        [True] if code == 4 else []
    )


@pytest.mark.slow
def test_what_there_is_can_be_listed_examined_and_described(harness: Program) -> None:
    listed = harness("list")
    assert listed.returncode == 0
    assert all(word in listed.stdout for word in ("guide", "local", "smoke", "naive", "batched", "only-fix7"))
    assert "embedded PostgreSQL 18" in harness("doctor").stdout
    assert '"phases"' in harness("schema").stdout
