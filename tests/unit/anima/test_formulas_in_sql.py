"""A formula of the contract stands in one place for statements; functions of migrations repeat it, held equal here."""

import re

import pytest

from anima.associations.protocol import strength_of
from anima.migrations import all_migrations
from anima.model import PHI_MAX, PHI_WEIGHT, SIMILARITY_WEIGHT
from anima.rows import structural_weight_of
from anima.searches import exact, exact_once, hnsw

LINES = [
    (migration.name, line.partition("--")[0].strip())
    for migration in all_migrations()
    for line in migration.sql.splitlines()
]
STRENGTH = re.escape(strength_of("COUNT")).replace("COUNT", ".+")


def lines_with(text: str) -> list[tuple[str, str]]:
    return [(name, line) for name, line in LINES if text in line]


def test_the_weights_share_one_result() -> None:
    assert SIMILARITY_WEIGHT + PHI_WEIGHT == 1
    assert structural_weight_of("similarity") == (
        f"{SIMILARITY_WEIGHT} * similarity + {PHI_WEIGHT} * (resonance_phi / {PHI_MAX}) AS structural_weight"
    )


@pytest.mark.parametrize("search", [exact, exact_once, hnsw])
def test_every_search_takes_the_weight_from_there(search: object) -> None:
    sql: str = search.FIND.sql  # type: ignore[attr-defined]
    assert structural_weight_of("similarity").partition("similarity")[2] in sql


def test_functions_of_migrations_order_by_the_same_weight() -> None:
    weighted = lines_with("AS structural_weight")
    assert len(weighted) >= 2
    assert all(structural_weight_of("similarity") in line for _, line in weighted)
    scaled = [(name, line) for name, line in LINES if "k.key <#> weighted" in line or "* reached" in line]
    assert len(scaled) >= 4
    assert all(f"{SIMILARITY_WEIGHT} *" in line for _, line in scaled)
    shares = [share for _, line in lines_with("weight - ") for share in re.findall(r"weight - ([\d.]+) \* ", line)]
    assert set(map(float, shares)) == {PHI_WEIGHT / PHI_MAX}


def test_functions_of_migrations_count_the_same_strength() -> None:
    counted = lines_with("log(")
    assert len(counted) >= 3
    assert all(re.search(STRENGTH, line) for _, line in counted)
