"""Small faults to plant in what `frontier` does inside the server: the suite must find each by what it changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from anima import migrations
from anima.migrations import Migration
from harness.measuring.targets.anima.equivalence.steps import BootstrapRequest, Load, NewMemory, Query, ScriptStep
from tests.property.equivalence.faults import Fault, Plant

FUNCTIONS, IN_ANY_ORDER, SEARCH = "frontier_functions", "in_any_order", "searches_go_on"
BOOTSTRAP_ORDER = "states_read_once"


def rewritten_function(title: str, right: str, wrong: str) -> Plant:
    """Changes a piece of a migration that occurs once."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        originals = migrations.all_migrations()
        (original,) = (each for each in originals if each.title == title)
        assert original.sql.count(right) == 1, f"{original.name} has changed: find the fault another place"
        later = [each.name for each in originals if each.version > original.version and right in each.sql]
        assert not later, f"{later} make that piece of {original.name} again: plant the fault there"

        def load() -> tuple[Migration, ...]:
            changed = replace(original, sql=original.sql.replace(right, wrong))
            return tuple(changed if each.title == title else each for each in originals)

        monkeypatch.setattr(migrations, "all_migrations", load)

    return plant


def all_of(*plants: Plant) -> Plant:
    """Changes one piece after the other."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for each in plants:
            each(monkeypatch)

    return plant


def function_fault(name: str, evidence: str, right: str, wrong: str, title: str = FUNCTIONS) -> Fault:
    return Fault(name, evidence, rewritten_function(title, right, wrong))


FAULTS = [
    function_fault("promotion one access early", "['promotions']", "access_count >= 5 THEN", "access_count >= 4 THEN"),
    function_fault(
        "phi cap missing",
        "memory_states_resonance_phi_range",
        "least(s.resonance_phi + 0.1, 5)",
        "s.resonance_phi + 0.1",
    ),
    function_fault(
        "missing audit row", "['promotions']", "WHERE a.new_tier IS NOT NULL", "WHERE a.new_tier = a.old_tier"
    ),
    function_fault(
        "conversation of an access lost",
        "['conversations']",
        "ELSE s.accessed_in_conversation_ids || conversation\n",
        "ELSE s.accessed_in_conversation_ids\n",
    ),
    function_fault("pairs never logged", "['associations']", "CASE WHEN are_pairs AND", "CASE WHEN NOT are_pairs AND"),
    function_fault(
        "access log folded once per query",
        "['accesses']",
        "WHERE t.is_access ORDER BY i, t.at",
        "WHERE t.is_access AND i = t.memory_ids[1] ORDER BY i, t.at",
        IN_ANY_ORDER,
    ),
    function_fault(
        "a pair folded once however often it occurred",
        "['co_occurrence_count']",
        "a, b, count(*), log(",
        "a, b, 1, log(",
        IN_ANY_ORDER,
    ),
    function_fault(
        "count of a known pair not added",
        "['co_occurrence_count']",
        "SET co_occurrence_count = known.co_occurrence_count + excluded.co_occurrence_count",
        "SET co_occurrence_count = excluded.co_occurrence_count",
        IN_ANY_ORDER,
    ),
    function_fault(
        "ranks not brought up to date",
        "['active']",
        "WHERE r.id = ANY(ids) AND s.id = r.id;",
        "WHERE false AND r.id = ANY(ids) AND s.id = r.id;",
        IN_ANY_ORDER,
    ),
    function_fault(
        "threshold > for >=",
        "['duplicate']: expected 'semantic', got None",
        "WHERE e.similarity >= at_least\n",
        "WHERE e.similarity > at_least\n",
    ),
    function_fault(
        "a merge that no state follows",
        "['resonance_phi']",
        "s.resonance_phi + became.resonance_phi",
        "s.resonance_phi",
        IN_ANY_ORDER,
    ),
]
"""Where the index is asked instead of all memories being ranked, these count as well."""

INDEX_FAULTS = [
    function_fault(
        "estimates cut without their error",
        "['memories']",
        "WHERE e.similarity_estimated >= threshold - error",
        "WHERE e.similarity_estimated >= threshold + error",
        SEARCH,
    ),
    function_fault(
        "phi of the key taken for the memory's",
        "['memories']",
        "n.weight + 0.06 * (s.resonance_phi - n.phi) AS weight",
        "n.weight - 0.05 * (s.resonance_phi - n.phi) AS weight",
        SEARCH,
    ),
    Fault(
        "a search that is never widened",
        "['memories']",
        all_of(
            rewritten_function(SEARCH, "FOR given IN 1..wanted LOOP", "FOR given IN 1..2 LOOP"),
            rewritten_function(SEARCH, "is_wide_enough boolean := false;", "is_wide_enough boolean := true;"),
            rewritten_function(SEARCH, "is_proven := asked = '{}';", "is_proven := true;"),
        ),
    ),
    function_fault(
        "phi does not decide a tie",
        "['memories']",
        "ORDER BY f.structural_weight DESC, f.resonance_phi DESC, f.id;",
        "ORDER BY f.structural_weight DESC, f.id;",
    ),
]

BEGIN = BootstrapRequest(conversation_id="c")
NEAR, OTHER, GROWN = "1 | near", "0 1 | other", "21 20 | grown"
"""`GROWN` is at a similarity of 21/29 to `NEAR`."""

STATED: Final[list[tuple[Fault, Sequence[ScriptStep]]]] = [
    (
        function_fault(
            "an exact duplicate not noted for bootstrap",
            "['active']",
            "VALUES (added_at, ARRAY[counted_id], false)",
            "VALUES (added_at, ARRAY[new_id], false)",
        ),
        [NewMemory(content=NEAR), NewMemory(content=OTHER), NewMemory(content=NEAR), BEGIN],
    ),
    (
        function_fault(
            "unfolded recalls left out of bootstrap",
            "['active']",
            "recalled CONSTANT uuid [] := ARRAY(SELECT DISTINCT unnest(r.memory_ids) FROM memory_recalls AS r)",
            "recalled CONSTANT uuid [] := '{}'",
            BOOTSTRAP_ORDER,
        ),
        [Load(content=NEAR), Load(content=OTHER)]
        + [step for text in (NEAR, OTHER) for step in (Query(query=text, limit=1), BEGIN)],
    ),
    (
        function_fault(
            "memories whose keys are due left out",
            "['memories']",
            "WHERE d.id NOT IN (SELECT id FROM rest",
            "WHERE false AND d.id NOT IN (SELECT id FROM rest",
            SEARCH,
        ),
        [Load(content=NEAR), Load(content=GROWN)]
        + [Load(content=f"4 3 | nearer {number}") for number in range(50)]
        + [Query(query=GROWN, limit=1)] * 40
        + [Query(query=NEAR, limit=1)],
    ),
]
"""Faults that a drawn script seldom meets, with one that does. All are looked for by the index."""
