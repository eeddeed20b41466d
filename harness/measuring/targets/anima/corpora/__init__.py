"""The kinds of corpus that a scenario's `[corpus]` can name."""

from typing import TYPE_CHECKING, Annotated, Final, Union

from pydantic import Field

from harness.measuring.targets.anima.corpora.file import FileSettings
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.anima.corpora.protocol import CorpusSettings

CORPORA: Final[dict[str, type[CorpusSettings]]] = {
    "generated": GeneratedSettings,
    "file": FileSettings,
}

# What a scenario declares as the type of its section: pydantic picks the entry that `kind` names.
if TYPE_CHECKING:
    CorpusSection = CorpusSettings
else:
    CorpusSection = Annotated[Union[tuple(CORPORA.values())], Field(discriminator="kind")]  # noqa: UP007 -- no literal.
