"""The examples, as they stand: what their READMEs tell to type, and what that says."""

import re
import shlex
from pathlib import Path

import pytest

from tests.acceptance.conftest import Program

CHECKOUT = Path(__file__).parents[2]


def commands(example: str) -> list[list[str]]:
    """What its README tells to type, with paths that hold wherever it is typed."""
    readme = (CHECKOUT / "examples" / example / "README.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) for line in block.splitlines()]
    return [
        [str(CHECKOUT / word) if word.startswith("examples/") else word for word in shlex.split(line)[1:]]
        for line in lines
        if line.startswith("harness ")
    ]


@pytest.mark.slow
def test_the_gate_of_the_shop_fails_without_the_index_and_passes_with_it(harness: Program) -> None:
    before, both = commands("shop")
    failed = harness(*before)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    readme = (CHECKOUT / "examples" / "shop" / "README.md").read_text(encoding="utf-8")
    [told] = [line for line in readme.splitlines() if line.startswith("FAIL ")]
    assert told in " ".join(failed.stdout.split())
    passed = harness(*both)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "Seq Scan on orders → Index Scan using orders_customer_created" in passed.stdout


@pytest.mark.slow
def test_several_processes_draw_the_same_from_the_database(harness: Program) -> None:
    _, both = commands("shop")
    done = harness(*both, "--set", "workers=2")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            'operations.latest_orders.sql="SELECT id FORM orders WHERE customer_id = $1 LIMIT $2"',
            """latest_orders does not prepare: syntax error at or near "orders".
    SELECT id FORM orders WHERE customer_id = $1 LIMIT $2
                   ^""",
        ),
        (
            'operations.latest_orders.sql="SELECT id FROM orders WHERE customer_id = $1 LIMIT $3"',
            "operations.latest_orders: nothing draws $3: add it to `arguments` (it has $1, $2).",
        ),
        (
            'operations.latest_orders.arguments=[{ zipf = { from = "SELECT 1 WHERE false" } }, 20]',
            "`SELECT 1 WHERE false` gives no row on the prepared database.",
        ),
    ],
)
def test_a_mistake_in_the_sql_is_told_before_anything_is_measured(harness: Program, setting: str, said: str) -> None:
    _, both = commands("shop")
    done = harness(*both, "--set", setting)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr


@pytest.mark.slow
def test_a_python_class_is_measured_as_its_readme_tells(harness: Program) -> None:
    [run] = commands("python_class")
    done = harness(*run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS place_order.errors <= 0%" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_each_operation_of_a_scenario_can_be_tried_once(harness: Program) -> None:
    done = harness("try", str(CHECKOUT / "examples" / "shop" / "shop.toml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        r'^latest_orders {"1": \d+, "2": 20}\n  20 rows, 1 statement, 20 results, 1 round trip, in [\d.]+ ms\n'
        r'  sent: SELECT id, created_at, total FROM orders WHERE .*\n  came back: {"id": \d+, "created_at": ".*$',
        done.stdout,
        re.MULTILINE,
    )
    assert re.search(
        r'^place_order {"customer_id": \d+, .*}\n  2 rows, 2 statements, 0 results, \d round trips, in [\d.]+ ms$',
        done.stdout,
        re.MULTILINE,
    )
    wrong = harness("try", "SELECT 1")
    assert (wrong.returncode, "--database URL" in wrong.stderr) == (2, True)


@pytest.mark.slow
def test_the_scenario_that_init_writes_runs_and_is_not_written_over(harness: Program) -> None:
    assert harness("init", "sql", "--to", "own").returncode == 0
    done = harness("run", "own/own.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS find.rows <= 1" in " ".join(done.stdout.split())
    again = harness("init", "sql", "--to", "own")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
