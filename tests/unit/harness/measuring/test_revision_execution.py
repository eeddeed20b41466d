"""Two revisions in turn: how their sides are named, in which order they come, and when they are about the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import UsageError
from harness.measuring import revision_execution
from harness.measuring.execution import Prepared
from harness.measuring.hosts.protocol import Interpreter
from harness.measuring.operations import Workload
from harness.measuring.places import Run
from harness.measuring.revision_execution import RevisionPair, _parts, _variants
from harness.measuring.revisions import Checkout, Revision

OLD, NEW = Revision("v1", "1" * 40), Revision("HEAD", "2" * 40)
PAIR = RevisionPair(OLD, NEW, "batched")
FACTS = {"schema_version": 8, "description": "all fixes", "corpus": "9f2c", "requests": "77aa"}
NO_RUN = cast("Run", None)
"""What is tested here starts nothing."""


def checkout(revision: Revision) -> Checkout:
    return Checkout(revision, Interpreter(f"/{revision.name}/python", {}), Path("/"))


async def variants(monkeypatch: pytest.MonkeyPatch, *facts: Mapping[str, Any]) -> tuple[Prepared, ...]:
    """As the workers of both revisions say."""
    answers = iter(facts)

    async def answer(*_: object) -> Mapping[str, Any]:
        return next(answers)

    monkeypatch.setattr(revision_execution, "prepared_by_worker", answer)
    return tuple(await _variants(NO_RUN, PAIR, [checkout(OLD), checkout(NEW)]))


def test_sides_have_the_names_that_were_given() -> None:
    assert PAIR.names == ("v1", "HEAD")


def test_one_revision_on_both_sides_has_two_names() -> None:
    assert RevisionPair(NEW, NEW, "batched").names == ("HEAD", "HEAD (candidate)")


def test_the_record_says_which_commits_were_compared() -> None:
    assert PAIR.declared == {
        "strategies": ["v1", "HEAD"],
        "baseline": "v1",
        "candidate": "HEAD",
        "control": True,
        "strategy": "batched",
        "revisions": {"v1": "1" * 40, "HEAD": "2" * 40},
    }


async def test_the_baseline_is_measured_again_as_its_control(monkeypatch: pytest.MonkeyPatch) -> None:
    baseline, candidate, control = await variants(monkeypatch, FACTS, FACTS | {"schema_version": 9})
    assert (baseline.name, candidate.name, control.name) == ("v1", "HEAD", "v1 (control)")
    assert (control.control_of, control.template, control.interpreter) == (
        *("v1", baseline.template),
        baseline.interpreter,
    )
    assert (baseline.schema_version, candidate.schema_version) == (8, 9)
    assert baseline.template != candidate.template
    assert candidate.description == "all fixes, at 2222222222"


@pytest.mark.parametrize("what", ["corpus", "requests"])
async def test_revisions_that_draw_differently_are_not_compared(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    with pytest.raises(UsageError, match=f"v1 and HEAD draw another {what} from this scenario"):
        await variants(monkeypatch, FACTS, FACTS | {what: "other"})


async def test_every_second_round_begins_with_the_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = await variants(monkeypatch, FACTS, FACTS)
    orders = [list(_parts(NO_RUN, prepared, (), number, Workload((), {}))) for number in (1, 2, 3)]
    assert orders == [
        ["v1", "HEAD", "v1 (control)"],
        ["v1 (control)", "HEAD", "v1"],
        ["v1", "HEAD", "v1 (control)"],
    ]
