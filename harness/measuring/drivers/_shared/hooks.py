"""Methods of a driver's classes, replaced while a block runs: by what calls them, and tells of it."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.measuring.drivers.protocol import HidesStatements

DriverMethod = Callable[..., Any]


@contextmanager
def replaced(driver: str, owner: type, hooks: Mapping[str, Callable[[DriverMethod], DriverMethod]]) -> Generator[None]:
    """Each is given the method that was there. Raises `HidesStatements` where one of them is not.

    What somebody else has put in place of a hook meanwhile stays, since it may call ours.
    """
    missing = [name for name in hooks if not hasattr(owner, name)]
    if missing:
        raise HidesStatements(driver, f"{owner.__qualname__} has no {' or '.join(missing)}")
    own = {name: vars(owner).get(name) for name in hooks}
    ours = {name: hook(getattr(owner, name)) for name, hook in hooks.items()}
    for name, method in ours.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in ours.items():
            if vars(owner).get(name) is method:
                _restore(owner, name, own[name])


def _restore(owner: type, name: str, own: object) -> None:
    if own is None:
        delattr(owner, name)
    else:
        setattr(owner, name, own)


def owner_of(cls: type, method: str) -> type:
    """The class that has it of its own, among those that this one is made of; itself where none has."""
    return next((base for base in cls.__mro__ if method in vars(base)), cls)
