"""SQL statements on a real server: what is sent, bound, counted, planned and refused."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from harness.errors import TargetError, UsageError
from harness.measuring.operations import Request
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.protocol import TargetContext
from harness.measuring.targets.sql.scenario import SqlScenario
from harness.measuring.targets.sql.target import SqlTarget
from tests.waiting import until

SCHEMA = """
CREATE TABLE things (id int PRIMARY KEY, at timestamptz, embedding vector(3), about jsonb, tags text[]);
INSERT INTO things (id) SELECT generate_series(1, 100);
"""


@pytest.fixture
async def empty_url(server: Server) -> AsyncGenerator[str]:
    name = f"test_{uuid4().hex}"
    yield await server.create_database(name)
    await server.drop_database(name)


def scenario(directory: Path, **stated: Any) -> SqlScenario:
    (directory / "schema.sql").write_text(SCHEMA, encoding="utf-8")
    document = {
        "name": "things",
        "phases": [{"requests": 1}],
        "database": {"schema": str(directory / "schema.sql")},
        "operations": {"one": {"sql": "SELECT 1"}},
    }
    return SqlScenario.model_validate(document | stated)


def operations(**sql: tuple[str | list[str], list[Any]]) -> dict[str, Any]:
    return {name: {"sql": text, "arguments": arguments} for name, (text, arguments) in sql.items()}


async def test_values_are_bound_as_the_server_has_them(tmp_path: Path, empty_url: str) -> None:
    written = (
        "INSERT INTO things (id, at, embedding, about, tags) VALUES ($1, $2, $3, $4, $5) "
        "RETURNING id, at = '2026-03-01T00:00Z', embedding::text, about->>'a', tags"
    )
    values = {"1": "700", "2": "2026-03-01T00:00:00+00:00", "3": [1, 0.5, 0], "4": {"a": 1}, "5": ["x", "y'"]}
    chosen = scenario(
        tmp_path,
        operations=operations(
            put=(written, list(values.values())),
            typed=(
                "SELECT $1::uuid, $2::date, $3::numeric, $4::interval, $5::uuid[], $6::bool, $7::real, $8::text",
                [str(uuid4()), "2026-01-01", 1.5, "1 day", [str(uuid4())], True, 2, 7],
            ),
        ),
    )
    target = SqlTarget(chosen)
    await target.prepare(empty_url, 0)
    workload = chosen.workload_of(1)
    assert workload.by_phase["mix"]
    async with target.open(TargetContext("current", empty_url)) as opened:
        response = await opened.perform(Request("put", values))
        assert (response.statements, response.round_trips, response.rows, response.results) == (1, 1, 1, 1)
        typed = next(iter(chosen.operations["typed"].requests("typed", 1)))
        assert (await opened.perform(typed)).rows == 1
    connection = await asyncpg.connect(empty_url)
    stored = await connection.fetchrow(
        "SELECT at = '2026-03-01T00:00Z', embedding::text, about->>'a', tags FROM things WHERE id = 700"
    )
    await connection.close()
    assert tuple(stored or ()) == (True, "[1,0.5,0]", "1", ["x", "y'"])


async def test_several_statements_are_one_transaction_and_counted(tmp_path: Path, empty_url: str) -> None:
    chosen = scenario(
        tmp_path,
        operations=operations(
            move=(["DELETE FROM things WHERE id <= $1", "INSERT INTO things (id) VALUES ($2)"], [3, 100])
        ),
    )
    target = SqlTarget(chosen)
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        with pytest.raises(TargetError) as failed:
            await opened.perform(Request("move", {"1": 3, "2": 100}))
        assert failed.value.kind == "conflict"
        response = await opened.perform(Request("move", {"1": 3, "2": 101}))
        # That the three are still there to be deleted shows that the first attempt left nothing.
        assert (response.statements, response.round_trips, response.rows) == (2, 4, 4)
        assert dict(response.calls) == {"begin": 1, "move.1": 1, "move.2": 1, "commit": 1}


async def test_plans_have_the_operations_names_and_a_variant_its_own_schema(tmp_path: Path, empty_url: str) -> None:
    index = tmp_path / "index.sql"
    index.write_text("CREATE INDEX things_at ON things (at);", encoding="utf-8")
    chosen = scenario(
        tmp_path,
        operations=operations(find=("SELECT id FROM things WHERE at = $1", ["2026-01-01T00:00Z"])),
        variants={
            "before": {},
            "after": {"migrate": str(index), "settings": {"enable_seqscan": "off"}},
        },
    )
    target = SqlTarget(chosen)
    assert [target.schema_version(name) for name in target.variants()] == [0, 1]
    assert (target.base_of(1, [0]), target.base_of(1, []), target.base_of(0, [])) == (0, None, None)
    await target.prepare(empty_url, 0)
    await target.migrate(empty_url, 1)
    request = Request("find", {"1": "2026-01-01T00:00Z"})
    async with target.open(TargetContext("after", empty_url)) as opened:
        await opened.perform(request)
        [plan] = await opened.plans()
        assert (plan.record.statement, plan.record.indexes) == ("find", ("things_at",))
        [executed] = await opened.plans(executed=True)
        assert executed.cost is not None
        assert executed.cost.rows == 0


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("SELECT id\nFORM things", 'one does not prepare: syntax error at or near "FORM"?.\n    SELECT id\n'),
        ("SELECT idd FROM things", 'one does not prepare: column "idd" does not exist.'),
        ("SELECT 1; SELECT 2", "Make it a list, which is one transaction."),
    ],
)
async def test_a_statement_that_does_not_prepare_is_shown_before_anything_is_measured(
    tmp_path: Path, empty_url: str, written: str, message: str
) -> None:
    target = SqlTarget(scenario(tmp_path, operations=operations(one=(written, []))))
    with pytest.raises(UsageError) as refused:
        await target.prepare(empty_url, 0)
    said = str(refused.value)
    if "FORM" in written:
        assert said == 'one does not prepare: syntax error at or near "things".\n    FORM things\n         ^'
    else:
        assert message in said


async def test_a_schema_that_the_server_refuses_is_shown_with_its_line(tmp_path: Path, empty_url: str) -> None:
    chosen = scenario(tmp_path)
    (tmp_path / "schema.sql").write_text("CREATE TABLE a (id int);\nCREATE TABEL b ();\n", encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        await SqlTarget(chosen).prepare(empty_url, 0)
    assert str(refused.value) == (
        f'{tmp_path}/schema.sql:2: syntax error at or near "TABEL".\n    CREATE TABEL b ();\n           ^'
    )


async def test_a_setting_that_there_is_not_is_told(tmp_path: Path, empty_url: str) -> None:
    chosen = scenario(tmp_path, variants={"a": {"settings": {"work_memory": "1MB"}}})
    with pytest.raises(UsageError, match="work_memory"):
        await SqlTarget(chosen).prepare(empty_url, 0)


@pytest.mark.parametrize(
    ("written", "settings", "kind"),
    [
        ("SELECT 1 / (id - 1) FROM things", {}, "refused"),
        ("SELECT pg_sleep(60)", {"statement_timeout": "1s"}, "timeout"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", {}, "broken connection"),
        ("INSERT INTO things VALUES (1)", {}, "conflict"),
    ],
)
async def test_failures_have_a_class_and_leave_the_connection_usable(
    tmp_path: Path, empty_url: str, written: str, settings: dict[str, str], kind: str
) -> None:
    chosen = scenario(
        tmp_path,
        operations=operations(bad=(written, []), good=("SELECT 1", [])),
        variants={"current": {"settings": settings}},
    )
    target = SqlTarget(chosen)
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        with pytest.raises(TargetError) as failed:
            await opened.perform(Request("bad", {}))
        assert failed.value.kind == kind
        assert (await opened.perform(Request("good", {}))).rows == 1


async def test_a_timeout_of_a_variant_is_for_what_it_asks_and_not_for_preparing_it(
    tmp_path: Path, empty_url: str
) -> None:
    """What takes long to prepare here takes so on a busy machine whatever it is."""
    long = f"SELECT 1 FROM things WHERE id IN ({', '.join(map(str, range(100_000)))})"
    chosen = scenario(
        tmp_path,
        operations=operations(long=(long, []), slow=("SELECT pg_sleep(60)", [])),
        variants={"current": {"settings": {"statement_timeout": "1ms"}}},
    )
    target = SqlTarget(chosen)
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        with pytest.raises(TargetError, match="statement timeout"):
            await opened.perform(Request("slow", {}))


async def test_a_value_that_its_type_does_not_take_is_a_failure_with_its_name(tmp_path: Path, empty_url: str) -> None:
    chosen = scenario(tmp_path, operations=operations(one=("SELECT $1::int", ["x"])))
    target = SqlTarget(chosen)
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        with pytest.raises(TargetError, match="one: 1 takes int4, and 'x' is none"):
            await opened.perform(Request("one", {"1": "x"}))


async def test_a_cancelled_transaction_leaves_nothing(tmp_path: Path, empty_url: str) -> None:
    chosen = scenario(
        tmp_path,
        operations=operations(slow=(["DELETE FROM things", "SELECT pg_sleep(60)"], []), count=("TABLE things", [])),
    )
    target = SqlTarget(chosen)
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        slow = asyncio.create_task(opened.perform(Request("slow", {})))
        await _until_active(empty_url, "%pg_sleep(60)%")
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert (await opened.perform(Request("count", {}))).rows == 100


async def _until_active(url: str, like: str) -> None:
    asked = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid()
    )
    """
    connection = await asyncpg.connect(url)
    try:
        await until(lambda: connection.fetchval(asked, like))
    finally:
        await connection.close()


async def test_rows_to_draw_from_are_read_once_and_drawn(tmp_path: Path, empty_url: str) -> None:
    drawn = {"zipf": {"from": "SELECT id FROM things WHERE id > 98"}}
    chosen = scenario(tmp_path, operations=operations(one=("SELECT $1::int", [drawn])), phases=[{"requests": 50}])
    assert chosen.draws_from_database
    await SqlTarget(chosen).prepare(empty_url, 0)
    found = await chosen.with_draws(empty_url)
    told = SqlScenario.model_validate(found.for_worker)
    assert not told.draws_from_database
    assert {request.arguments["1"] for request in told.workload_of(1).by_phase["mix"]} == {99, 100}
    nothing = scenario(
        tmp_path, operations=operations(one=("SELECT $1::int", [{"zipf": {"from": "SELECT 1 WHERE false"}}]))
    )
    with pytest.raises(UsageError, match="`SELECT 1 WHERE false` gives no row"):
        await nothing.with_draws(empty_url)


async def test_an_answer_with_other_rows_than_expected_is_wrong_and_leaves_nothing(
    tmp_path: Path, empty_url: str
) -> None:
    one = {"sql": "SELECT id FROM things WHERE id = $1", "arguments": [7], "expect": {"rows": 1, "columns": ["id"]}}
    both = ["DELETE FROM things WHERE id = 7", "SELECT id FROM things WHERE id = 7"]
    target = SqlTarget(
        scenario(tmp_path, operations={"one": one, "both": {"sql": both, "expect": {"rows": 1}}}),
    )
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        await opened.perform(Request("one", {"1": 7}))
        with pytest.raises(TargetError, match="one: 0 rows came back instead of 1") as wrong:
            await opened.perform(Request("one", {"1": 700}))
        assert wrong.value.kind == "wrong answer"
        with pytest.raises(TargetError, match="both: 0 rows came back instead of 1"):
            await opened.perform(Request("both", {}))
        await opened.perform(Request("one", {"1": 7}))


async def test_other_columns_than_expected_are_told_before_anything_is_measured(tmp_path: Path, empty_url: str) -> None:
    one = {"sql": "SELECT id, at FROM things", "expect": {"columns": ["id", "on"]}}
    with pytest.raises(UsageError, match=r"operations.one.expect.columns: one returns id, at instead of id, on"):
        await SqlTarget(scenario(tmp_path, operations={"one": one})).prepare(empty_url, 0)


async def test_a_statement_that_never_finds_anything_is_warned_about_once(
    tmp_path: Path, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = operations(
        never=("SELECT id FROM things WHERE id = $1", [-1]),
        found=("SELECT 1", []),
        wrote=("UPDATE things SET tags = '{}' WHERE false", []),
    )
    target = SqlTarget(scenario(tmp_path, operations=asked))
    await target.prepare(empty_url, 0)
    for _ in range(2):
        async with target.open(TargetContext("current", empty_url)) as opened:
            for name, arguments in (("never", {"1": -1}), ("found", {}), ("wrote", {})):
                await opened.perform(Request(name, arguments))
    [warning] = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: current: never returned no row in any of 1 requests")


# Of points on a curve one graph in eight was in parts, and the broadest search came to one of them.
POINTS = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE points (id int PRIMARY KEY, tags text[], at vector(3));
INSERT INTO points
SELECT n, ARRAY['a'], ARRAY[hashint4(n) / 2 ^ 31, hashint4(n + 10000) / 2 ^ 31, hashint4(n + 20000) / 2 ^ 31]::vector
FROM generate_series(1, 2000) n;
CREATE INDEX points_at ON points USING hnsw (at vector_l2_ops);
ANALYZE points;
"""


async def test_the_recall_of_a_search_is_that_of_its_settings_beside_the_same_without_indexes(
    tmp_path: Path, empty_url: str
) -> None:
    chosen = scenario(
        tmp_path,
        operations=operations(near=("SELECT id, tags, at <-> $1 FROM points ORDER BY at <-> $1 LIMIT 10", [[0, 0, 0]]))
        | operations(put=("INSERT INTO points VALUES ($1)", [9999])),
        variants={
            name: {"settings": {"enable_seqscan": "off", "hnsw.ef_search": effort}}
            for name, effort in (("least", "2"), ("most", "200"))
        },
    )
    (tmp_path / "schema.sql").write_text(POINTS, encoding="utf-8")
    assert chosen.searched == ["near"]
    target = SqlTarget(chosen)
    await target.prepare(empty_url, 0)
    queries = [Request("near", {"1": [number / 10, 0.5, -0.5]}) for number in range(8)]
    found: dict[str, tuple[float, ...]] = {}
    for name in target.variants():
        async with target.open(TargetContext(name, empty_url)) as opened:
            for query in queries:
                await opened.perform(query)
            assert [each.record.access_methods for each in await opened.plans()] == [{"hnsw"}]
            found[name] = await opened.recalls(queries)
            assert await opened.recalls(()) == ()
            assert (await opened.perform(queries[0])).results == (2 if name == "least" else 10)
    # Two of ten are found. The graph is drawn anew by each build: of a search neither has to be among the nearest.
    assert set(found["least"]) <= {0.0, 0.1, 0.2}
    assert any(found["least"])
    assert sum(found["most"]) / len(queries) >= 0.9


async def test_what_writes_is_not_searched_again(tmp_path: Path, empty_url: str) -> None:
    writing = "WITH gone AS (DELETE FROM things WHERE id = $1 RETURNING id) SELECT id FROM gone"
    target = SqlTarget(scenario(tmp_path, operations=operations(take=(writing, [7]))))
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        with pytest.raises(UsageError, match="take cannot be searched exactly: cannot execute"):
            await opened.recalls([Request("take", {"1": 7})])
        assert (await opened.perform(Request("take", {"1": 7}))).results == 1


async def test_what_has_no_plan_is_performed_and_not_planned(tmp_path: Path, empty_url: str) -> None:
    sent = operations(tidy=("-- By hand.\nVACUUM things", []), find=("/* all */ SELECT id FROM things", []))
    target = SqlTarget(scenario(tmp_path, operations=sent))
    await target.prepare(empty_url, 0)
    async with target.open(TargetContext("current", empty_url)) as opened:
        for name in sent:
            await opened.perform(Request(name, {}))
        assert [each.record.statement for each in await opened.plans()] == ["find"]
