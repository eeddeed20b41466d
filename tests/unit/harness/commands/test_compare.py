import subprocess
from pathlib import Path

import pytest

from harness.commands.compare import Plan, kind_of, of_revisions, of_strategies, run_alone
from harness.commands.verify import refuse_other_targets
from harness.errors import UsageError


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a branch and a run that are both called `batched`, and another branch."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main", tmp_path], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "First"], cwd=tmp_path, check=True)
    for branch in ("batched", "naive", "topic"):
        subprocess.run([*git, "branch", branch], cwd=tmp_path, check=True)
    for run in ("batched", "first"):
        (tmp_path / "reports" / run).mkdir(parents=True)
        (tmp_path / "reports" / run / "journal.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    return Path("reports")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("fix1", "batched"), "strategies"),
        (("first", "batched"), "runs"),
        (("latest", "reports/first"), "runs"),
        (("main", "topic"), "revisions"),
        (("HEAD", "batched"), "revisions"),
    ],
)
def test_names_are_of_the_one_kind_that_both_are(places: Path, names: tuple[str, str], kind: str) -> None:
    assert kind_of(names, places) == kind


def test_names_of_two_kinds_ask_which(places: Path) -> None:
    with pytest.raises(UsageError, match=r"strategies and as revisions\. Say which with --strategies or --revisions"):
        kind_of(("naive", "batched"), places)


def test_names_that_share_no_kind_are_an_error_that_says_what_each_is(places: Path) -> None:
    with pytest.raises(UsageError, match=r"'fix1' is a strategy\. 'main' is a git revision\. Name two"):
        kind_of(("fix1", "main"), places)
    with pytest.raises(UsageError, match=r"'batchd' is no strategy, .* Did you mean 'batched'"):
        kind_of(("batchd", "fix1"), places)


def test_an_option_is_no_revision(places: Path) -> None:
    with pytest.raises(UsageError, match="'--all' is no strategy"):
        kind_of(("--all", "main"), places)


def test_strategies_are_measured_in_rounds_with_a_control_and_held_to_nothing() -> None:
    chosen = of_strategies(("batched", "naive"), Plan("smoke", ("corpus.size=50", "rounds=4"), None))
    assert [variant.name for variant in chosen.lineup] == ["batched", "naive", "batched (control)"]
    assert (chosen.baseline, chosen.candidate, chosen.rounds) == ("batched", "naive", 4)
    assert (chosen.budgets, chosen.contents()["size"]) == ((), 50)


def test_both_sides_can_be_profiled_as_well() -> None:
    assert of_strategies(("batched", "naive"), Plan("smoke", (), None)).profile is None
    assert of_strategies(("batched", "naive"), Plan("smoke", (), None, profiled=True)).profile is not None


def test_a_strategy_that_is_compared_with_itself_is_told_what_to_run_instead() -> None:
    with pytest.raises(
        UsageError, match=r"naive stands on both sides.*`harness compare \w+ naive`.*`harness compare HEAD HEAD`"
    ):
        of_strategies(("naive", "naive"), Plan("smoke", (), None))


def test_one_name_alone_is_a_run_or_is_told_what_to_compare_it_with(places: Path) -> None:
    plan = Plan("smoke", (), None)
    assert run_alone("batched", places, plan) == places / "batched"
    with pytest.raises(UsageError, match=r"'fix1' is a strategy, and .*Name two: `harness compare naive fix1`"):
        run_alone("fix1", places, plan)
    with pytest.raises(UsageError, match=r"'after' is a variant of .*Name two: `harness compare before after`"):
        run_alone("after", places, Plan(SHOP, (), None))
    with pytest.raises(UsageError, match=r"'topic' is a git revision, .*: `harness compare BASE topic`"):
        run_alone("topic", places, plan)
    with pytest.raises(UsageError, match=r"There is no run 'nothere'"):
        run_alone("nothere", places, plan)


def test_why_git_knows_nothing_comes_before_what_is_known_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"'HEAD' is no .* git says: fatal: not a git repository.*\nKnown: naive"):
        kind_of(("HEAD", "HEAD"), tmp_path)


@pytest.mark.usefixtures("places")
def test_revisions_run_one_strategy_under_the_names_that_they_were_given() -> None:
    Path("harness").mkdir()
    Path("harness/worker.py").touch()
    subprocess.run(["git", "add", "harness"], check=True)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "Next"], check=True)
    chosen, sides = of_revisions(("HEAD", "HEAD"), Plan("smoke", ("rounds=4",), None), None)
    assert (chosen.variant_names, chosen.rounds, chosen.budgets) == (("batched",), 4, ())
    assert sides.declared["strategies"] == ["HEAD", "HEAD (candidate)"]
    _, named = of_revisions(("main", "HEAD"), Plan("smoke", (), None), "naive")
    assert (named.strategy, named.names) == ("naive", ("main", "HEAD"))
    with pytest.raises(UsageError, match=r"topic \(.*\) has no harness/worker.py, so it is too old"):
        of_revisions(("topic", "main"), Plan("smoke", (), None), None)
    with pytest.raises(UsageError, match="git knows no revision 'nowhere'"):
        of_revisions(("main", "nowhere"), Plan("smoke", (), None), None)


def test_a_scenario_without_a_verification_is_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"shop.toml measures sql, and only anima's strategies have a verification"):
        refuse_other_targets([SHOP])


SHOP = str(Path(__file__).parents[4] / "examples" / "shop" / "shop.toml")


def test_variants_of_an_own_scenario_are_compared_by_their_names(places: Path) -> None:
    plan = Plan(SHOP, (), None)
    assert kind_of(("before", "after"), places, plan.nameable()) == "strategies"
    chosen = of_strategies(("after", "before"), plan)
    assert [variant.name for variant in chosen.lineup] == ["after", "before", "after (control)"]
    with pytest.raises(UsageError, match=r"'befor' is no variant of .*shop.toml, no run .* Did you mean 'before'"):
        kind_of(("befor", "after"), places, plan.nameable())
    with pytest.raises(UsageError, match=r"after stands on both sides.*`harness compare before after`"):
        of_strategies(("after", "after"), plan)


@pytest.mark.usefixtures("places")
def test_revisions_of_an_own_scenario_need_no_worker_of_theirs() -> None:
    chosen, sides = of_revisions(("main", "topic"), Plan(SHOP, (), None), None)
    assert (chosen.variant_names, sides.strategy) == (("after",), "after")
