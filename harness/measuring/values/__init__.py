"""The kinds of values that a scenario can have drawn for each request."""

from typing import Final

from harness.measuring.values.date import Date
from harness.measuring.values.literal import Literal
from harness.measuring.values.protocol import DrawnValue
from harness.measuring.values.sentences import Sentences
from harness.measuring.values.sequence import Sequence
from harness.measuring.values.timestamp import Timestamp
from harness.measuring.values.uniform import Uniform
from harness.measuring.values.uuid import Uuid
from harness.measuring.values.vector import RandomVector
from harness.measuring.values.words import Words
from harness.measuring.values.zipf import Zipf

VALUES: Final[dict[str, type[DrawnValue]]] = {
    "sequence": Sequence,
    "uniform": Uniform,
    "zipf": Zipf,
    "uuid": Uuid,
    "words": Words,
    "sentences": Sentences,
    "date": Date,
    "timestamp": Timestamp,
    "vector": RandomVector,
    "literal": Literal,
}
