"""The only reader of the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
)

from anima.addresses import address_of
from anima.errors import InvalidInput

PREFIX = "ANIMA_"
UNPREFIXED = {"xdg_data_home": "XDG_DATA_HOME"}
"""Variables that are not ours, which all programs follow."""


def understood(url: str) -> str:
    """The same URL. Raises `InvalidInput`."""
    address_of(url)
    return url


def replicas_understood(urls: str) -> str:
    """The same URLs, with spaces between them, each of one host. Raises `InvalidInput`."""
    for url in urls.split():
        address = address_of(url)
        if "," in address.location.partition("/")[0]:
            raise InvalidInput(
                "ANIMA_REPLICA_URLS has a URL of several hosts. Write one URL for each standby, with spaces between."
            )
    return urls


class Settings(BaseModel):
    """Each field is the variable ANIMA_<FIELD>, but for `xdg_data_home`; docs/how-to/serve.md says what each does."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True)

    database_url: Annotated[str, AfterValidator(understood)] | None = Field(default=None, repr=False)
    """The database, as postgresql://; None where the service brings its own."""
    replica_urls: Annotated[str, AfterValidator(replicas_understood)] = Field(default="", repr=False)
    """The servers that follow the database and may answer reads, as URLs with spaces between; empty where none do."""
    data_directory: Path | None = None
    """Where the service's own database lies; None is a folder of the user's."""
    xdg_data_home: str | None = None
    """The folder for data of programs, by the XDG convention; None where the user has set none."""
    host: str = "127.0.0.1"
    """The address at which the service listens."""
    port: Annotated[int, Field(ge=0, le=65535)] = 7100
    """The port at which it listens; 0 is any that is free."""
    workers: PositiveInt = 1
    """How many server processes share the port."""
    strategy: str = "frontier"
    """The name of the strategy."""
    embedding_provider: str | None = None
    """The name of the provider; None takes the one that embedded what is stored, or the first that there is."""
    ollama_url: str = "http://127.0.0.1:11434"
    """The address of Ollama."""
    openai_url: str = "https://api.openai.com/v1"
    """The address of a service that speaks OpenAI's API."""
    openai_key: SecretStr | None = None
    """The key for that service; None where it asks for none."""
    embedding_timeout_s: PositiveFloat = 5.0
    """How long one attempt at an embedding may take."""
    embedding_load_timeout_s: PositiveFloat = 60.0
    """How long it may take where a server may have to load its model."""
    redis_url: SecretStr | None = None
    """The Redis of a shared cache; None where there is none."""
    pool_size: PositiveInt | None = None
    """How many connections a server process has; None leaves it to the strategy."""
    acquire_timeout_s: PositiveFloat | None = None
    """How many seconds a request waits for a connection; None leaves it to the strategy."""
    command_timeout_s: PositiveFloat = 30.0
    """How many seconds an answer of the database is waited for."""
    statement_timeout_s: PositiveFloat = 30.0
    """After how many seconds the database ends a statement."""
    idle_in_transaction_timeout_s: PositiveFloat = 30.0
    """After how many seconds the database ends a session that does nothing in a transaction."""
    shutdown_timeout_s: PositiveInt = 30
    """How many seconds requests in flight may take after the signal to end."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """Where traces are sent; None where none are."""
    trace_log: Path | None = None
    """The log of operations for replay; None where none is written."""
    trace_contents: bool = False
    """Whether that log has texts as they are, and not others in their place."""
    warm_texts: Path | None = None
    """A file of texts that are embedded before the first request; None where there is none."""
    api_keys: SecretStr | None = None
    """The hashes of the keys that may ask; None where nobody is asked for one."""
    without_keys: bool = False
    """Whether the service may be reached from elsewhere without a key."""
    rate_limit: str | None = None
    """How much each client may ask, such as `100/minute`; None is without a limit."""
    cors_origins: str | None = None
    """The pages whose scripts may ask, separated by commas; None is none."""

    @property
    def is_provider_named(self) -> bool:
        """By its name, or by where it is."""
        return bool(self.model_fields_set & {"embedding_provider", "ollama_url", "openai_key"})

    @property
    def is_strategy_named(self) -> bool:
        return "strategy" in self.model_fields_set

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raises `InvalidInput` that names the variable."""
        variables = {name: variable_of(name) for name in cls.model_fields}
        fields = {name: environment[variable] for name, variable in variables.items() if environment.get(variable)}
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            issue = error.errors()[0]
            raise InvalidInput(f"{variable_of(str(issue['loc'][0]))}: {issue['msg']}") from None


def variable_of(field: str) -> str:
    return UNPREFIXED.get(field, PREFIX + field.upper())
