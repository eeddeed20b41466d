"""Which failures are of the machine that asks, and not of the system that is asked."""

import errno
import os

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from anima.errors import DatabaseUnavailable
from harness.errors import EXHAUSTIONS, kind_of

ADDRESS = ConnectionKey("127.0.0.1", 80, False, True, None, None, None)


def os_error(name: str) -> OSError:
    number = getattr(errno, name)
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("name", EXHAUSTIONS)
def test_an_exhaustion_is_told_by_its_name_however_it_is_wrapped(name: str) -> None:
    raised = os_error(name)
    wrapped, in_passing = DatabaseUnavailable("away"), RuntimeError("while that was handled")
    wrapped.__cause__, in_passing.__context__ = aiohttp.ClientConnectorError(ADDRESS, raised), raised
    for error in (raised, aiohttp.ClientOSError(*raised.args), wrapped.__cause__, wrapped, in_passing):
        assert kind_of(error) == name


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ClientConnectorError(ADDRESS, os_error("ECONNREFUSED")), "ClientConnectorError"),
        (OSError("without a number"), "OSError"),
        (DatabaseUnavailable("away"), "DatabaseUnavailable"),
    ],
)
def test_any_other_failure_is_told_by_its_class(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind
