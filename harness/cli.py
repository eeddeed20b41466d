"""Runs the command line: argv → command → exit code. What can be asked is in `command_line`."""

import sys
import traceback
from typing import NoReturn

import click

from harness.command_line import harness
from harness.commands._shared.outputs import withstand
from harness.errors import ExitCode, HarnessError, exit_code_of
from harness.failures import foreseen
from harness.redaction import without_secrets


def main() -> NoReturn:
    """Exits with the code of the command; a failure is a sentence, and a traceback only with --debug."""
    withstand()
    try:
        code = harness(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except Exception as error:  # noqa: BLE001 -- Python's own exit code for it would say that a budget failed
        code = tell(foreseen(error))
    sys.exit(code)


def tell(failure: HarnessError) -> ExitCode:
    """A sentence, and the exit code that goes with it."""
    if "--debug" in sys.argv:
        click.echo(without_secrets("".join(traceback.format_exception(failure))), err=True)
    click.echo(f"harness: {without_secrets(str(failure))}", err=True)
    return exit_code_of(failure)


if __name__ == "__main__":
    main()
