import pytest

from harness.judging.likeness import unlike
from harness.record import RunRecord
from tests.records import SCENARIO, record, variant


def run(**scenario: object) -> RunRecord:
    return record(variant(), scenario=SCENARIO | scenario)


def test_a_run_is_like_itself() -> None:
    assert unlike(run(), run()) == ()


def test_what_is_compared_and_how_it_is_judged_makes_no_difference() -> None:
    assert unlike(run(), run(strategies=["naive"], candidate="naive", budgets=[], rounds=20, title="Another")) == ()


def test_a_record_from_before_phases_had_slices_is_like_one_whose_phases_are_whole() -> None:
    assert unlike(run(), run(slices=1)) == ()
    assert unlike(run(), run(slices=20)) == ("scenario.slices is absent in one and 20 in the other",)


def test_what_is_asked_of_which_data_does() -> None:
    assert unlike(run(), run(seed=2)) == ("scenario.seed is 20260101 in one and 2 in the other",)
    nearer = SCENARIO["latency"] | {"database_rtt_ms": 1.0, "embedding": {"kind": "fixed", "seconds": 0.0}}
    assert unlike(run(), run(latency=nearer))[:3] == (
        "scenario.latency.database_rtt_ms is 20.0 in one and 1.0 in the other",
        "scenario.latency.embedding.kind is log_normal in one and fixed in the other",
        "scenario.latency.embedding.p50_s is 3.0 in one and absent in the other",
    )
    other = run().model_copy(update={"corpus": {**run().corpus, "size": 300}})
    assert unlike(run(), other) == ("corpus.size is 2300 in one and 300 in the other",)


@pytest.mark.parametrize(
    ("part", "key", "named"),
    [("host", "cpu", "host.cpu"), ("server", "postgres_version", "server.postgres_version")],
)
def test_the_machine_and_the_server_do(part: str, key: str, named: str) -> None:
    known = run()
    changed = getattr(known.environment, part) | {key: "changed"}
    other = known.model_copy(update={"environment": known.environment.model_copy(update={part: changed})})
    (difference,) = unlike(known, other)
    assert difference.startswith(f"{named} is ")


def test_somebody_s_own_statements_and_service_do_not_but_what_they_are_asked_with_does() -> None:
    def own(sql: str, *arguments: object, **scenario: object) -> RunRecord:
        return run(operations={"find": {"sql": [sql], "arguments": list(arguments)}}, **scenario)

    started = {"command": ["uvicorn", "notes:app"]}
    assert unlike(own("SELECT 1"), own("SELECT 2", queries="new.sql", service=started)) == ()
    assert unlike(own("SELECT $1", 1), own("SELECT $1", 2)) == (
        "scenario.operations.find.arguments.1 is 1 in one and 2 in the other",
    )


def test_software_does_not_since_its_versions_are_what_is_compared() -> None:
    known = run()
    newer = known.environment.model_copy(update={"software": {"python": "3.14.0"}})
    assert unlike(known, known.model_copy(update={"environment": newer})) == ()
