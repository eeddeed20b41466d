"""What a provider's answers account for, and what nothing does."""

import pytest

from harness.measuring.targets.anima.concurrency.embedder import (
    FIRST_MODEL,
    EmbeddingCall,
    ScriptedProvider,
    WitnessedEmbeddings,
    vector_complaints,
)


def failed(began: int, ended: int, text: str = "a") -> EmbeddingCall:
    return EmbeddingCall(text, FIRST_MODEL, 0.0, began, ended, failed=True)


@pytest.mark.parametrize(
    ("answers", "complaints"),
    [
        pytest.param([failed(0, 9)], 0, id="its-own-call"),
        pytest.param([failed(0, 9), failed(2, 8)], 0, id="while-it-was-asked-for"),
        pytest.param([failed(0, 9), failed(6, 8)], 0, id="before-the-first-has-heard-of-it"),
        pytest.param([failed(0, 5), failed(6, 8)], 1, id="when-all-have-heard-of-it"),
        pytest.param([failed(0, 5), failed(6, 8), failed(7, 9)], 2, id="beside-another-that-nothing-accounts-for"),
        pytest.param([failed(0, 9), failed(6, 8, "b")], 1, id="of-another-text"),
    ],
)
def test_an_error_is_shared_until_those_who_waited_have_heard_of_it(
    answers: list[EmbeddingCall], complaints: int
) -> None:
    witness = WitnessedEmbeddings(ScriptedProvider(calls=[failed(1, 4)]), cached=True)
    witness.answers.extend(answers)
    found = list(vector_complaints(witness))
    assert len(found) == complaints
    assert all("failed to be embedded by an outage that was over" in each for each in found)
