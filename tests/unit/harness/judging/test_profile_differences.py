import json
import random
import re
from collections.abc import Sequence

import pytest

from harness.errors import UsageError
from harness.frames import SERVER
from harness.judging.plan_differences import PlanComparison
from harness.judging.profile_differences import between, differences, place, side
from harness.record import ProfileRecord, RunRecord
from harness.showing.profile_tables import culprits_table, server_functions_table
from harness.showing.renderers import RENDERERS
from harness.showing.renderers.html.difference import difference_page
from harness.showing.renderers.html.flames import script, specification
from harness.showing.report import Report
from harness.showing.tables import Cell, Table
from tests.records import HOSTILE, record, samples, variant

ROUNDS = 6
NO_PLANS = PlanComparison("naive", "batched", ())


def profiled(variant_name: str, own_ms: dict[str, float], seed: int) -> list[ProfileRecord]:
    draws = random.Random(seed)
    return [
        ProfileRecord(
            variant=variant_name,
            operation="query",
            round=number + 1,
            requests=4,
            profiled_s=0.011,
            plain_s=0.01,
            stacks={stack: 4 * ms / 1000 * draws.lognormvariate(0, 0.03) for stack, ms in own_ms.items()},
        )
        for number in range(ROUNDS)
    ]


@pytest.fixture
def run() -> RunRecord:
    before = profiled("naive", {"query:whole;per_pair.py:record;[await]": 60.0, "query;search": 5.0}, 1)
    after = profiled("batched", {f"query;{HOSTILE};[await]": 4.0, "query;search": 5.0}, 2)
    return record(variant("naive", samples([0.07])), variant("batched", samples([0.01]))).model_copy(
        update={"profiles": (*before, *after)}
    )


def test_the_culprit_is_named_with_its_time_per_request(run: RunRecord) -> None:
    (difference,) = differences(run)
    vanished = difference.culprits[0]
    assert vanished.stack[1] == "per_pair.py:record"
    assert vanished.before_ms == pytest.approx(60, rel=0.1)
    assert vanished.after_ms == 0
    assert culprits_table(difference).rows[0][-1].text == "query:whole > per_pair.py:record"


def test_the_overhead_of_profiling_is_said(run: RunRecord) -> None:
    assert "Profiling itself added 10% and 10%." in culprits_table(differences(run)[0]).note


def test_a_side_compared_with_itself_has_no_culprit(run: RunRecord) -> None:
    (difference,) = between(side(run, "naive"), side(run, "naive"))
    assert difference.culprits == ()
    assert "Nothing" in culprits_table(difference).note


def test_a_run_without_profiles_shows_none() -> None:
    run = record(variant("naive", samples([0.1])), variant("batched", samples([0.1])))
    assert differences(run) == ()
    with pytest.raises(UsageError, match="harness profile"):
        side(run, "naive")


def test_an_unknown_variant_names_those_that_were_profiled(run: RunRecord) -> None:
    with pytest.raises(UsageError, match="naive, batched"):
        side(run, "fix1")


def with_server(run: RunRecord, seen: dict[str, dict[str, float]], unobserved: str = "") -> RunRecord:
    """Of each variant that is named the server's stacks in milliseconds per request."""
    profiles = tuple(
        each.model_copy(
            update={
                "server_stacks": {stack: each.requests * ms / 1000 for stack, ms in seen.get(each.variant, {}).items()},
                "server_unobserved": "" if each.variant in seen else unobserved,
            }
        )
        for each in run.profiles
    )
    return run.model_copy(update={"profiles": profiles})


SORTS = {f"{SERVER};postgres: ExecSort": 2.0, f"{SERVER};postgres: ExecSort;postgres: qsort": 6.0}
"""Milliseconds of its own, and of what it called."""


def test_the_server_stands_beside_the_requests_and_is_no_part_of_their_time(run: RunRecord) -> None:
    (alone,) = differences(run)
    (difference,) = differences(with_server(run, {"naive": SORTS, "batched": {f"{SERVER};postgres: ExecSort": 1.0}}))
    assert (difference.changes, difference.culprits) == (alone.changes, alone.culprits)
    assert [[cell.text for cell in row] for row in rows_of(server_functions_table([difference]))] == [
        ["query", "all", "8.00 ms", "1.00 ms"],
        ["query", "postgres: qsort", "6.00 ms", "0 µs"],
        ["query", "postgres: ExecSort", "2.00 ms", "1.00 ms"],
    ]
    graph = json.loads(specification(difference.changes, "naive", "batched", difference.server_changes))
    frames = graph["data"][0]["values"]
    assert [frame["name"] for frame in frames if frame["depth"] == 1] == ["request", SERVER]
    (sort,) = (frame for frame in frames if frame["name"] == "postgres: qsort")
    assert (sort["depth"], sort["before"], sort["after"], sort["changed"]) == (3, 6.0, 0.0, True)
    whole = {frame["name"]: frame["before"] for frame in frames}
    assert frames[0]["before"] == pytest.approx(whole["request"] + whole[SERVER], abs=0.001)


def test_a_server_seen_on_one_side_alone_is_not_compared_with_nothing(run: RunRecord) -> None:
    (difference,) = differences(with_server(run, {"naive": SORTS}, "perf is not installed."))
    assert difference.server_changes == ()
    assert server_functions_table([difference]) is None
    assert culprits_table(difference).note.endswith("server's own functions are not shown: perf is not installed.")


def test_an_older_record_says_nothing_of_the_server(run: RunRecord) -> None:
    assert "server" not in culprits_table(differences(run)[0]).note


def rows_of(table: Table | None) -> Sequence[Sequence[Cell]]:
    assert table is not None
    return table.rows


UPSERT = ("t.py:T.perform", "m.py:record", "pairs.py:P.record", "db.py:S.fetch_row", "db.py:S.fetch", "SQL pair.upsert")
EMBED = ("t.py:T.perform", "ollama.py:O.embed", "http.py:E.call", "http.py:E._attempt", "httpx: AsyncClient.post")


@pytest.mark.parametrize(
    ("stack", "named"),
    [
        ((*UPSERT, "asyncpg: Connection.fetch", "[await]"), "pairs.py:P.record > SQL pair.upsert"),
        ((*EMBED, "[await]"), "ollama.py:O.embed > http.py:E._attempt > httpx: AsyncClient.post"),
        (("t.py:T.perform", "m.py:sum", "[await]"), "t.py:T.perform > m.py:sum"),
        ((), "request"),
    ],
)
def test_what_waits_is_named_by_who_made_it_wait_and_for_what(stack: tuple[str, ...], named: str) -> None:
    assert place(stack) == named


def test_how_a_library_waits_is_no_culprit_of_its_own() -> None:
    """What it called the system back for is."""
    waits = {
        ";".join((*EMBED, "httpcore: AsyncConnectionPool.handle", "anyio: SocketStream.receive", "[await]")): 30.0,
        ";".join((*EMBED, "httpcore: AsyncConnectionPool.handle", "ssl: SSLObject.read")): 10.0,
        ";".join((*UPSERT, "asyncpg: Connection.fetch", "[await]")): 9.0,
        "t.py:T.perform;contextlib: enter;m.py:called_back;json: loads": 8.0,
    }
    before, after = profiled("naive", waits, 1), profiled("batched", {"t.py:T.perform": 1.0}, 2)
    run = record(variant("naive", samples([0.1]))).model_copy(update={"profiles": (*before, *after)})
    (difference,) = between(side(run, "naive"), side(run, "batched"))
    assert [place(each.stack) for each in difference.culprits] == [
        place(EMBED),
        place(UPSERT),
        "t.py:T.perform > m.py:called_back > json: loads",
    ]
    assert difference.culprits[0].before_ms == pytest.approx(40, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("whole_report", [True, False])
def test_names_stay_text_on_the_page(run: RunRecord, *, whole_report: bool) -> None:
    page = RENDERERS["html"].render(Report.of(run)) if whole_report else difference_page(differences(run), NO_PLANS)
    assert "<img" not in page.replace(script(), "")
    (data,) = re.findall(r'<script type="application/json" id="flame-query">(.*?)</script>', page, flags=re.DOTALL)
    names = {frame["name"] for frame in json.loads(data)["data"][0]["values"]}
    assert HOSTILE in names
    scripts = re.findall(r"<script(?: type=\"application/json\"[^>]*)?>", page)
    assert len(scripts) == 3, "the graph's frames, the library, and the lines that start it"


def test_the_page_lets_only_its_own_scripts_run(run: RunRecord) -> None:
    page = difference_page(differences(run), NO_PLANS)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "unsafe-eval" not in policy[1]
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/=]{44}'", policy[1])) == 2


@pytest.mark.slow
def test_the_page_of_a_deep_profile_stays_small() -> None:
    draws = random.Random(3)
    own_ms = {";".join(f"module_{draws.randrange(40)}.py:function" for _ in range(12)): 1.0 for _ in range(3_000)}
    run = record(variant("naive", samples([0.1])), variant("batched", samples([0.1]))).model_copy(
        update={"profiles": (*profiled("naive", own_ms, 1), *profiled("batched", own_ms, 2))}
    )
    assert len(difference_page(differences(run), NO_PLANS)) < 1_500_000
