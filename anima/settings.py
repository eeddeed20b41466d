"""The only reader of the environment."""

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anima.errors import InvalidInput

PREFIX = "ANIMA_"


class Settings(BaseModel):
    """Each field is the variable ANIMA_<FIELD>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: Annotated[str, Field(pattern=r"^postgres(ql)?://")] | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raises `InvalidInput` that names the variable."""
        fields = {
            name: environment[PREFIX + name.upper()]
            for name in cls.model_fields
            if environment.get(PREFIX + name.upper())
        }
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            issue = error.errors()[0]
            raise InvalidInput(f"{PREFIX}{str(issue['loc'][0]).upper()}: {issue['msg']}") from None
