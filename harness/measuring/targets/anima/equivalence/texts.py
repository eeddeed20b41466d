"""Texts near and far: each at a chosen, exact similarity to the centre of its topic, on either side of what decides.

Variants of one similarity in different directions are ties for a question at their centre.
"""

import math
from dataclasses import dataclass
from typing import Final

TOPICS: Final = 3
DIRECTIONS: Final = 3
DIRECTION_AXES: Final = 4
LABELS: Final = ("", " | again", " | an Insight")


@dataclass(frozen=True, slots=True)
class Nearness:
    """`along` is the share of the centre, `aside` what is added in a direction of the variant's own.

    Their squares add up to the square of an integer, so that the similarity is exactly a ratio of integers.
    """

    along: int
    aside: tuple[int, ...]

    @property
    def similarity(self) -> float:
        return self.along / math.isqrt(self.along**2 + sum(part**2 for part in self.aside))


CENTRE: Final = Nearness(1, ())
AROUND_DUPLICATE: Final = (
    Nearness(2, ()),  # Another vector in the same direction.
    Nearness(99, (14, 1, 1, 1)),
    Nearness(49, (9, 4, 1, 1)),  # 0.98
    Nearness(979, (203, 18, 5, 1)),
    Nearness(19, (6, 1, 1, 1)),  # 0.95
    Nearness(949, (315, 13, 2, 1)),
)
# 11/14 without phi and 7/10 with a phi of 1 have the same structural weight, to the last bit.
WEIGHS_ALIKE_AT_PHI_0: Final = Nearness(11, (8, 3, 1, 1))
WEIGHS_ALIKE_AT_PHI_1: Final = Nearness(7, (7, 1, 1))
APART: Final = (
    WEIGHS_ALIKE_AT_PHI_0,
    WEIGHS_ALIKE_AT_PHI_1,
    Nearness(3, (4,)),
    Nearness(1, (1, 1, 1)),  # 0.5
    Nearness(7, (24,)),
)
SIMILARITIES: Final = tuple(nearness.similarity for nearness in (CENTRE, *AROUND_DUPLICATE, *APART))


def centre(topic: int) -> str:
    return " ".join(["0"] * topic + ["1"])


def variant(topic: int, nearness: Nearness, direction: int, label: str) -> str:
    axes = [0] * (TOPICS + DIRECTION_AXES * direction) + list(nearness.aside)
    axes[topic] = nearness.along
    return " ".join(map(str, axes)) + label
