"""What a title says, and what one strategy need not say."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring.scenario_files import json_schema, load_scenario
from harness.measuring.shipped import shipped


def test_a_title_says_what_was_set_on_the_command_line() -> None:
    assert load_scenario("local", settings=("corpus.size=50",)).title.endswith(", with corpus.size=50")
    for settings in ((), ("profile={requests=2}",), ("profile.requests=3",)):
        assert load_scenario("local", settings=settings).title == "The database's own cost, with no injected latency"


def test_a_title_names_only_the_key_of_what_is_long_or_an_address() -> None:
    chosen = load_scenario("local", settings=("service_url=http://127.0.0.1:7100", f"description={'x' * 80}"))
    assert chosen.title.endswith(", with service_url, description")


def test_a_title_that_is_set_stays_as_it_is() -> None:
    assert load_scenario("local", settings=("title=Mine",)).title == "Mine"


@pytest.mark.parametrize("name", shipped())
def test_no_title_states_a_figure_that_a_setting_changes(name: str) -> None:
    assert not any(character.isdigit() for character in load_scenario(name).title)


def one_strategy(tmp_path: Path, strategies: str) -> Path:
    text = shipped()["smoke"].read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith(("strategies", "baseline", "candidate"))]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([f"strategies = {strategies}", *kept]), encoding="utf-8")
    return path


def test_one_strategy_is_baseline_and_candidate_without_saying_so(tmp_path: Path) -> None:
    chosen = load_scenario(str(one_strategy(tmp_path, '["batched"]')))
    assert (chosen.baseline, chosen.candidate) == ("batched", "batched")
    assert not {"baseline", "candidate"} & set(json_schema()["$defs"]["MemoryScenario"]["required"])


def test_two_strategies_have_to_say_which_is_which(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="baseline"):
        load_scenario(str(one_strategy(tmp_path, '["naive", "batched"]')))
