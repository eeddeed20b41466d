import json
import random
import re

import pytest

from harness.errors import UsageError
from harness.judging.plan_differences import PlanComparison
from harness.judging.profile_differences import between, differences, place, side
from harness.record import ProfileRecord, RunRecord
from harness.showing.profile_tables import culprits_table
from harness.showing.renderers import RENDERERS
from harness.showing.renderers.html.difference import difference_page
from harness.showing.renderers.html.flames import script
from harness.showing.report import Report
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
