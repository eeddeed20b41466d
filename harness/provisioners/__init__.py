"""How a run gets its PostgreSQL: name to factory."""

from collections.abc import Callable, Mapping
from typing import Final

from harness.provisioners.embedded import EmbeddedProvisioner
from harness.provisioners.protocol import Provisioner

PROVISIONERS: Final[Mapping[str, Callable[[], Provisioner]]] = {
    "embedded": EmbeddedProvisioner,
}
