"""The commands `harness` and `anima`, as far as they go without the packages of these names.

A command that cannot even be imported would end with Python's own exit code 1, which says that a budget failed. This
lies beside the packages, under a name that nobody else has: a project may have a package `harness` of its own.
"""

import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

USAGE, INTERRUPTED = 2, 130
"""As in `harness.errors`, which may be what cannot be imported."""


def main() -> NoReturn:
    command = loaded("harness", "harness.cli")
    command()


def anima() -> NoReturn:
    command = loaded("anima", "anima.__main__")
    command()


def loaded(name: str, module: str) -> Callable[[], NoReturn]:
    """The command itself; where it cannot be imported, the process ends with a sentence."""
    hiding = what_hides(name)
    if hiding:
        refuse(
            name,
            f"The package `{name}` in {hiding} hides the one of this command. Take what leads there out of PYTHONPATH, "
            "or rename that package.",
        )
    try:
        command: Callable[[], NoReturn] = import_module(module).main
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever it is, no budget has failed.
        if "--debug" in sys.argv:
            traceback.print_exc()
        refuse(
            name,
            f"It cannot be loaded ({type(error).__name__}: {error}). See that no file on PYTHONPATH has the name of a "
            f"module that it needs, or install anima-harness again; `{name} --debug` shows where.",
        )
    return command


def what_hides(name: str) -> str | None:
    """Another package or module of the name that is found first."""
    found = find_spec(name)
    if found is None:
        return None
    places = found.submodule_search_locations or [str(found.origin)]
    ours = Path(__file__).resolve().with_name(name)
    return None if ours in (Path(place).resolve() for place in places) else next(iter(places))


def refuse(name: str, reason: str) -> NoReturn:
    sys.stderr.write(f"{name}: {reason}\n")
    sys.exit(USAGE)
