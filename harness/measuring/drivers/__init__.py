"""Says which database drivers, and layers above them, tell what they send; each is hooked once a project uses it."""

import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from harness.measuring.drivers._shared.places import is_the_projects
from harness.measuring.drivers._shared.telling import Listener, listening
from harness.measuring.drivers.asyncpg import Asyncpg
from harness.measuring.drivers.django import Django
from harness.measuring.drivers.protocol import Driver, HidesStatements
from harness.measuring.drivers.psycopg import Psycopg
from harness.measuring.drivers.sqlalchemy import SqlAlchemy

DRIVERS: Final[dict[str, Driver]] = {
    "asyncpg": Asyncpg(),
    "psycopg": Psycopg(),
    "SQLAlchemy": SqlAlchemy(),
    "Django": Django(),
}

SQLITE: Final = "sqlite3"
HIDDEN: Final = (
    "psycopg2",
    "pg8000",
    "aiopg",
    "aiosqlite",
    SQLITE,
    "MySQLdb",
    "mysql.connector",
    "pymysql",
    "aiomysql",
    "asyncmy",
    "pyodbc",
    "oracledb",
)
"""Modules of drivers that tell nothing by themselves; SQLAlchemy and Django tell of what is sent through them."""


@dataclass(slots=True)
class Hooks:
    """Those of this process, for as long as anybody listens."""

    stack: ExitStack = field(default_factory=ExitStack)
    hooked: set[str] = field(default_factory=set[str])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    listeners: int = 0

    def hook_imported(self) -> None:
        """Drivers may be imported at any time, such as by the first call that needs one."""
        for name, driver in DRIVERS.items():
            if driver.module in sys.modules and name not in self.hooked | self.refused.keys():
                try:
                    self.stack.enter_context(driver.hooked())
                except HidesStatements as error:
                    self.refused[name] = str(error)
                else:
                    self.hooked.add(name)

    def undo(self) -> None:
        self.stack.close()
        self.hooked.clear()
        self.refused.clear()


HOOKS: Final = Hooks()


@contextmanager
def told_to(listener: Listener) -> Generator[Hooks]:
    """Hooks what is imported, and has the listener hear of each statement that is sent within the block."""
    HOOKS.listeners += 1
    try:
        HOOKS.hook_imported()
        with listening(listener):
            yield HOOKS
    finally:
        HOOKS.listeners -= 1
        if not HOOKS.listeners:
            HOOKS.undo()


def hidden() -> Sequence[str]:
    """Says of drivers that are imported here and tell nothing: each a clause."""
    imported = (each for each in HIDDEN if each in sys.modules and (each != SQLITE or _is_the_projects_own(SQLITE)))
    return (*HOOKS.refused.values(), *(f"{each} hides its statements" for each in imported))


def _is_the_projects_own(name: str) -> bool:
    """Whether code of the project has imported it, and not a tool that keeps something of its own there."""
    module = sys.modules[name]
    bound = {id(module), id(getattr(module, "connect", module))}
    return any(
        not bound.isdisjoint(map(id, list(vars(each).values())))
        for each in list(sys.modules.values())
        if is_the_projects(getattr(each, "__file__", None) or "<none>")
    )
