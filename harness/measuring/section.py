"""Says what every section of a scenario is made of: frozen, and without a key that nobody knows."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel, frozen=True):
    """A section of a scenario. The docstring under a field is its description in the JSON schema."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
