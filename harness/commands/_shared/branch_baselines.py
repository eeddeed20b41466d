"""Finds which stored run a run is compared with: the newest of its branch, else of where that began, else of main.

Not for whether one is slower: runs of other days hold the noise of both.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import runs
from harness.children import git
from harness.errors import UsageError
from harness.judging.declaration import declaration_of
from harness.judging.likeness import unlike
from harness.quantities import number_of
from harness.record import CheckoutRecord, RunRecord

MAIN: Final = ("main", "master")
DIRTY: Final = "-dirty"

Distance = Callable[[str, str], int | None]
"""How many commits the second has beyond the first, which it contains; None where it does not."""


@dataclass(frozen=True, slots=True)
class BranchBaseline:
    """A stored run, and why it is the one to compare with."""

    record: RunRecord
    reason: str


def baseline_of(candidate: RunRecord, output: Path) -> BranchBaseline:
    """Raises `UsageError` where no stored run is one."""
    if candidate.checkout is None:
        raise UsageError(
            f"{candidate.run_id} does not say which revision it measured, so nobody knows its branch. Name both runs: "
            "`harness compare A B`."
        )
    stored = [record for record in _of_scenario(candidate, output) if not unlike(record, candidate)]
    found = chosen_baseline(candidate.checkout, stored, commits_beyond)
    if found is None:
        branch = candidate.checkout.branch or "its branch"
        raise UsageError(
            f"No stored run under {output} is older than {candidate.run_id}, like it, and of {branch}, of a commit "
            f"that it began from, or of {' or '.join(MAIN)}. Run the scenario there first, or name both runs."
        )
    return found


def chosen_baseline(checkout: CheckoutRecord, stored: Sequence[RunRecord], distance: Distance) -> BranchBaseline | None:
    """Of runs from the newest on; what differs from its commit is of no branch but its own."""
    known = [(record, record.checkout) for record in stored if record.checkout is not None]
    for record, its in known:
        if checkout.branch is not None and its.branch == checkout.branch:
            return BranchBaseline(record, f"the newest of {checkout.branch}")
    committed = [(record, its) for record, its in known if not its.revision.endswith(DIRTY)]
    own = checkout.revision.removesuffix(DIRTY)
    beyond = [(commits, record) for record, its in committed if (commits := distance(its.revision, own)) is not None]
    if beyond:
        commits, nearest = min(beyond, key=lambda pair: pair[0])
        where = nearest.checkout.branch if nearest.checkout and nearest.checkout.branch else "an older commit"
        ago = number_of(commits, "commit")
        return BranchBaseline(nearest, f"the nearest that this began from: {where}, {ago} before")
    for record, its in committed:
        if its.branch in MAIN:
            return BranchBaseline(record, f"the newest of {its.branch}")
    return None


def commits_beyond(earlier: str, later: str) -> int | None:
    if git("merge-base", "--is-ancestor", earlier, later).returncode:
        return None
    return int(git("rev-list", "--count", f"{earlier}..{later}").stdout)


def _of_scenario(candidate: RunRecord, output: Path) -> Iterator[RunRecord]:
    """The runs of its scenario that came to their end before it began, from the newest on."""
    name = declaration_of(candidate).name
    found = [runs.load_record(directory) for directory in runs.all_runs(output) if directory.name.startswith(name)]
    for record in sorted(found, key=lambda record: record.started_at, reverse=True):
        is_before = record.started_at < candidate.started_at and record.run_id != candidate.run_id
        if is_before and record.state == "complete" and declaration_of(record).name == name:
            yield record
