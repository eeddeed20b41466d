"""Which servers are fit for a run, and what the older ones of them lack."""

from dataclasses import replace

import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners._shared.databases import missing_features, refuse_unfit, version
from harness.measuring.servers.provisioners.protocol import ServerFacts

FIT = ServerFacts("external", postgres_version="15.8 (Debian 15.8-0+deb12u1)", pgvector_version="0.5.0", settings={})


@pytest.mark.parametrize(
    ("text", "numbers"), [("17.6 (Debian 17.6-1.pgdg)", (17, 6)), ("19beta1", (19, 1)), ("0.8.5", (0, 8, 5)), ("", ())]
)
def test_versions_are_compared_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers


def test_the_oldest_that_has_what_a_run_needs_is_fit() -> None:
    refuse_unfit(FIT, "h:5432")


@pytest.mark.parametrize(
    ("unfit", "sentence"),
    [
        (replace(FIT, postgres_version="14.13"), "h:5432 is PostgreSQL 14.13. Use 15 or later"),
        (replace(FIT, pgvector_version="0.4.4"), "pgvector 0.4.4, which knows no HNSW index. Install 0.5 or later"),
        (replace(FIT, pgvector_version=""), "has no pgvector. Install it there, or use the `embedded` provisioner"),
    ],
)
def test_a_server_without_what_a_run_needs_is_refused(unfit: ServerFacts, sentence: str) -> None:
    with pytest.raises(ProvisioningError, match=sentence):
        refuse_unfit(unfit, "h:5432")


@pytest.mark.parametrize("pgvector", ["0.5.1", "0.7.4"])
def test_iterative_scans_are_said_to_be_missing_before_0_8(pgvector: str) -> None:
    (lack,) = missing_features(pgvector)
    assert lack.startswith(f"pgvector {pgvector} has no iterative scans")


@pytest.mark.parametrize("pgvector", ["0.8.0", "0.10.0", "1.0"])
def test_iterative_scans_are_there_from_0_8_on(pgvector: str) -> None:
    assert not list(missing_features(pgvector))
