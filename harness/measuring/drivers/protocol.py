"""The seam between a database driver that a project uses and whoever counts what it sends."""

from contextlib import AbstractContextManager
from typing import Protocol


class HidesStatements(Exception):
    """Says of a driver that is there that it tells nothing in this version; `why` is a clause."""

    def __init__(self, driver: str, why: str) -> None:
        super().__init__(f"{driver} hides its statements here: {why}")


class Driver(Protocol):
    """Tells of statements while it is hooked. An implementation imports nothing that is not imported already."""

    @property
    def module(self) -> str:
        """The module whose import by somebody shows that the driver may be used."""
        ...

    def hooked(self) -> AbstractContextManager[None]:
        """Has it tell of each statement by `sent`, on every connection, until the block ends; then it is as before.

        Entered when its module has been imported. Raises `HidesStatements` where the version is not one that can.
        """
        ...
