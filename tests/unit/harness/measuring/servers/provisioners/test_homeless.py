"""Where the user has no home, testcontainers cannot even be imported: no engine, and a sentence for who asks for it."""

import sys
from collections.abc import Sequence

import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners import PROVISIONERS, engine_answers
from harness.measuring.servers.provisioners.protocol import DatabaseSettings

MODULE = "harness.measuring.servers.provisioners.testcontainers"


class Homeless:
    """Fails as `Path.home` does there, at the import."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> None:
        if name == MODULE:
            raise RuntimeError("Could not determine home directory.")


def test_there_is_no_engine_and_who_asks_for_one_reads_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Homeless(), *sys.meta_path])
    assert not engine_answers()
    with pytest.raises(ProvisioningError, match=r"needs a home directory.*Set HOME\."):
        PROVISIONERS["testcontainers"](DatabaseSettings())
