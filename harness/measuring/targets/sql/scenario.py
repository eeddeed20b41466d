"""A scenario of SQL statements: what each operation sends, and what a variant has other than the rest."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from harness.errors import UsageError
from harness.measuring.beside import FileBeside
from harness.measuring.own_scenario import AskedOperation, OwnScenario, OwnVariant
from harness.measuring.scenario import known
from harness.measuring.section import Section
from harness.measuring.seeds import as_several
from harness.measuring.targets.sql.queries import OwnStatement, mismatch, read_file, read_statement

_COMMENTS: Final = r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/|\()\s*)*"
READS: Final = re.compile(rf"{_COMMENTS}(?:select|with|table|values)\b", re.IGNORECASE | re.DOTALL)
PLANNED: Final = re.compile(
    rf"{_COMMENTS}(?:select|with|table|values|insert|update|delete|merge)\b", re.IGNORECASE | re.DOTALL
)
"""Statements that EXPLAIN takes, and no VACUUM or CALL."""

Texts = Annotated[tuple[str, ...], BeforeValidator(as_several, json_schema_input_type=str | list[str])]


class ExpectedRows(Section, frozen=True):
    """Says what makes an answer a right one; of several statements, that of the last."""

    rows: Annotated[int, Field(ge=0)] | None = None
    """How many rows come back; any number unless stated."""
    columns: tuple[str, ...] | None = None
    """The names of the columns, in their order; any unless stated."""


class SqlOperation(AskedOperation, frozen=True):
    """One statement, or several that are one transaction, with `$1` or `:name` for the arguments."""

    sql: Texts = ()
    """The statement, or a list of them that is one transaction. Without it, the one of `queries` that has the
    operation's name.
    """
    expect: ExpectedRows = ExpectedRows()
    """What makes an answer a right one."""


class OtherSql(Section, frozen=True):
    """Says what a variant sends for an operation instead."""

    sql: Texts = Field(min_length=1)
    """As in the operation; it has the same arguments."""


class SqlVariant(OwnVariant, frozen=True):
    """Says what differs under this name: the statements, the schema, or the settings of its sessions."""

    queries: FileBeside | None = None
    """A file of statements that go before the scenario's."""
    operations: Mapping[str, OtherSql] = {}
    """Other statements for operations, by name."""


class SqlScenario(OwnScenario, frozen=True):
    """`target = "sql"`: statements on a schema, from this process, on one connection for each user."""

    target: str = "sql"
    """The name of the target, `sql`."""
    queries: FileBeside | None = None
    """A file of statements, each after a line `-- name: operation`, beside the scenario."""
    operations: Mapping[str, SqlOperation]
    """What is asked, by name."""
    variants: Mapping[str, SqlVariant] = {}
    """What is compared, by name; `current` alone."""

    @property
    def tells_pool(self) -> bool:
        """Each user has a connection."""
        return True

    @property
    def tells_plans(self) -> bool:
        return True

    @property
    def searched(self) -> Sequence[str]:
        """Those that are one statement which reads: the server finds as much without its indexes, and no less."""
        return [
            name
            for name in self.operations
            if all(len(sent) == 1 and READS.match(sent[0].sql) for sent in self._sent(name))
        ]

    def _sent(self, operation: str) -> Sequence[tuple[OwnStatement, ...]]:
        return [self.statements(variant)[operation] for variant in self.variants]

    @model_validator(mode="after")
    def _statements_fit(self) -> Self:
        for variant in self.variants.values():
            for name in variant.operations:
                known("operation for a variant:", name, self.operations)
        try:
            for name in self.variants:
                self.statements(name)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    def statements(self, variant: str) -> Mapping[str, tuple[OwnStatement, ...]]:
        """Says what each operation sends.

        Raises `UsageError` where an operation has no statement, or other arguments.
        """
        other = self.variants[variant]
        filed = {**_filed(self.queries), **_filed(other.queries)}
        return {
            name: _read(name, self._texts(name, other, filed, _filed(other.queries)), operation)
            for name, operation in self.operations.items()
        }

    def _texts(
        self, name: str, other: SqlVariant, filed: Mapping[str, str], other_filed: Mapping[str, str]
    ) -> tuple[str, ...]:
        """A variant's own before the scenario's, and what stands in the scenario before what stands in a file."""
        if name in other.operations:
            return other.operations[name].sql
        if name in other_filed:
            return (other_filed[name],)
        if self.operations[name].sql:
            return self.operations[name].sql
        if name in filed:
            return (filed[name],)
        where = f"{self.queries} has none of its name" if self.queries else "there is no file of `queries` either"
        raise UsageError(f"operations.{name}: `sql` is missing, and {where}.")


def _filed(path: Path | None) -> Mapping[str, str]:
    return read_file(path) if path else {}


def _read(name: str, texts: tuple[str, ...], operation: SqlOperation) -> tuple[OwnStatement, ...]:
    one = len(texts) == 1
    statements = tuple(
        read_statement(name if one else f"{name}.{number}", text) for number, text in enumerate(texts, start=1)
    )
    if wrong := mismatch(statements, operation.drawn, by_name=isinstance(operation.arguments, dict)):
        raise UsageError(f"operations.{name}: {wrong}.")
    return statements
