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


class Settings(BaseModel):
    """Each field is the variable ANIMA_<FIELD>, but for `xdg_data_home`; docs/how-to/serve.md says what each does."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True)

    database_url: Annotated[str, AfterValidator(understood)] | None = Field(default=None, repr=False)
    data_directory: Path | None = None
    xdg_data_home: str | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 7100
    workers: PositiveInt = 1
    strategy: str = "batched"
    embedding_provider: str | None = None
    ollama_url: str = "http://127.0.0.1:11434"
    openai_url: str = "https://api.openai.com/v1"
    openai_key: SecretStr | None = None
    embedding_timeout_s: PositiveFloat = 5.0
    embedding_load_timeout_s: PositiveFloat = 60.0
    redis_url: SecretStr | None = None
    pool_size: PositiveInt | None = None
    acquire_timeout_s: PositiveFloat | None = None
    command_timeout_s: PositiveFloat = 30.0
    statement_timeout_s: PositiveFloat = 30.0
    idle_in_transaction_timeout_s: PositiveFloat = 30.0
    shutdown_timeout_s: PositiveInt = 30
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    trace_log: Path | None = None
    trace_contents: bool = False
    warm_texts: Path | None = None
    api_keys: SecretStr | None = None
    without_keys: bool = False
    rate_limit: str | None = None
    cors_origins: str | None = None

    @property
    def is_provider_named(self) -> bool:
        """By its name, or by where it is."""
        return bool(self.model_fields_set & {"embedding_provider", "ollama_url", "openai_key"})

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
