"""The command line: argv → command → exit code. Each command is a module of `harness.commands`; read `run` first."""

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from harness.commands._shared.outputs import withstand
from harness.errors import ExitCode, HarnessError, ProvisioningError, UsageError
from harness.failures import foreseen
from harness.redaction import without_secrets


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """Where a command is defined, and what the list of commands says of it, so that a list imports none of them."""

    module: str
    name: str
    short_help: str


COMMANDS: Final[Mapping[str, CommandPlace]] = {
    "run": CommandPlace("run", "run", "Runs a scenario and judges it."),
    "try": CommandPlace("try_", "try_", "Tries one statement, or a scenario's operations once."),
    "report": CommandPlace("report", "report", "Shows a stored run or comparison again."),
    "compare": CommandPlace("compare", "compare_command", "Says which of two strategies, runs or revisions is slower."),
    "profile": CommandPlace("profile", "profile", "Shows where the time goes, before and after."),
    "diff": CommandPlace("profile", "diff", "Compares the profiles of two runs, or of one."),
    "verify": CommandPlace("verify", "verify", "Checks that strategies agree."),
    "selftest": CommandPlace("selftest", "selftest", "Shows how often the judge is wrong."),
    "history": CommandPlace("history.commands", "history", "Keeps a line per run, and shows what has changed."),
    "init": CommandPlace("init", "init", "Writes a scenario out of what there is already."),
    "list": CommandPlace("listing", "list_", "Lists scenarios, strategies and stored runs."),
    "doctor": CommandPlace("doctor", "doctor", "Says what this machine has, and what is missing."),
    "schema": CommandPlace("schema", "schema", "Prints the JSON schema of a scenario."),
    "clean": CommandPlace("clean", "clean", "Removes what runs have left behind."),
}


class Commands(click.Group):
    """Imports a command when it is asked for: most need a database driver, numerics and drawing, each of them slow."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        place = COMMANDS.get(cmd_name)
        if place is None:
            close = get_close_matches(cmd_name, COMMANDS, 1)
            known = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {cmd_name!r}. {known}")
        found = getattr(import_module(f"harness.commands.{place.module}"), place.name)
        assert isinstance(found, click.Command), f"{cmd_name} is a command"
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.short_help) for name, place in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- as click has it
        """Else click takes any broken pipe, such as a worker's, for that of the output, and exits with 1."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.filename is None:
                raise foreseen(error) from error
            raise UsageError(f"{error.filename} cannot be used: {error.strerror}.") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="anima-harness", prog_name="harness")
@click.pass_context
def harness(context: click.Context, *, debug: bool) -> None:
    """Measures a memory system on a real PostgreSQL, and judges the measurement.

    Exit codes: 0 pass, 1 a budget failed, 2 usage or configuration, 3 undecided, 4 invalid run or one that broke, 130
    interrupted.
    """
    context.obj = debug


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
    return ExitCode.USAGE if isinstance(failure, (UsageError, ProvisioningError)) else ExitCode.INVALID


if __name__ == "__main__":
    main()
