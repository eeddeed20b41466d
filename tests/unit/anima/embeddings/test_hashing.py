import hashlib
import os
import random
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anima.embeddings.hashing import _projection, hashed_vector
from anima.embeddings.protocol import DIMENSIONS

SENTENCES = [
    "Maria told me over breakfast that she prefers the window seat on long flights to Lisbon.",
    "The quarterly budget review moved to Thursday because the auditors asked for another week of work.",
    "My brother is allergic to peanuts, so we never bring satay sauce to the family picnic.",
    "Learning to play the cello at forty has been humbling, slow and surprisingly joyful for him.",
    "We repainted the kitchen in a pale green that changes completely when evening light comes in.",
    "Database migrations ran overnight and the index on customer orders took three hours to build.",
    "Her grandmother kept bees behind the orchard and sold honey at the village market each August.",
    "He decided to quit smoking after the doctor showed him the results of his lung scan.",
    "The hiking trail above Innsbruck was closed by snow, which nobody had expected so late in May.",
    "I finally understood recursion when I drew the call stack on paper and walked through it.",
]


def similarity(one: str, other: str) -> float:
    return float(hashed_vector(one) @ hashed_vector(other))


@given(st.text())
def test_every_text_has_a_finite_unit_vector(text: str) -> None:
    vector = hashed_vector(text)
    assert vector.shape == (DIMENSIONS,)
    assert vector.dtype == np.float32
    assert not vector.flags.writeable
    assert float(vector @ vector) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_vectors_are_the_same_to_the_bit_in_every_process_and_release() -> None:
    program = (
        "import sys; from anima.embeddings.hashing import hashed_vector;"
        "sys.stdout.buffer.write(hashed_vector(sys.argv[1]).astype('<f4').tobytes())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, SENTENCES[0]],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {hashed_vector(SENTENCES[0]).astype("<f4").tobytes()}
    # A change of this digest changes every stored vector: rename the model with it.
    assert hashlib.sha256(outputs.pop()).hexdigest()[:16] == "e19af0e4d2c510b2"


def test_unrelated_sentences_are_far_apart() -> None:
    assert max(similarity(one, other) for one, other in combinations(SENTENCES, 2)) < 0.4


def test_a_sentence_with_one_word_of_fifteen_changed_stays_near() -> None:
    draws = random.Random(7)
    similarities: list[float] = []
    for sentence in SENTENCES:
        words = sentence.split()
        for position in range(len(words)):
            changed = [*words[:position], draws.choice(["violet", "engine", "seventeen"]), *words[position + 1 :]]
            similarities.append(similarity(sentence, " ".join(changed)))
    assert min(similarities) > 0.85
    assert np.mean(similarities) > 0.9


@pytest.mark.parametrize(
    ("one", "other"),
    [("He likes strong COFFEE.", "he likes strong coffee"), ("ﬁne cafe\u0301", "fine café"), ("Straße", "STRASSE")],
)
def test_case_punctuation_and_encoding_of_a_letter_make_no_difference(one: str, other: str) -> None:
    assert similarity(one, other) == pytest.approx(1.0, abs=1e-6)


def test_the_more_words_two_texts_share_the_nearer_they_are() -> None:
    memory = "Anna plays tennis with Paul every Saturday morning"
    queries = ["tennis", "tennis with Paul", "Anna plays tennis with Paul", memory]
    similarities = [similarity(memory, query) for query in queries]
    assert similarities == sorted(similarities)
    assert similarities[0] > 0.3


def test_inflections_and_misspellings_are_nearer_than_other_words() -> None:
    assert similarity("travelling", "traveling") > 0.2
    assert similarity("paintings", "painting") > 0.2
    assert abs(similarity("painting", "cucumber")) < 0.15


def test_function_words_weigh_less_than_words_with_content() -> None:
    assert similarity("the zebra", "zebra") > 1.5 * similarity("the zebra", "the")


def test_a_repeated_word_does_not_drown_the_others() -> None:
    assert similarity("tea " * 100 + "with lemon", "lemon") > 0.05


def test_texts_without_words_differ_from_each_other() -> None:
    assert similarity("!!!", "???") < 0.4
    assert similarity("", " ") < 0.6


def test_a_word_is_projected_once() -> None:
    _projection.cache_clear()
    hashed_vector("pear plum pear")
    hashed_vector("plum pear")
    assert _projection.cache_info().misses == 2
