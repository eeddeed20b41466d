"""The command line: `anima serve`, `anima migrate` and `anima new-key`."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from anima.addresses import address_of
from anima.errors import AnimaError, DatabaseUnavailable, DatabaseUnfit, InvalidInput, extra


def work(name: str) -> Callable[..., None]:
    """The function that does what was asked: what it takes to serve takes long to import, and no help needs it."""
    found: Callable[..., None] = getattr(import_module("anima.commands"), name)
    return found


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="anima-harness", prog_name="anima")
@click.pass_context
def anima(context: click.Context, *, debug: bool) -> None:
    """The Anima memory system on PostgreSQL and pgvector."""
    context.obj = debug


def warn_of_password(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """The URL as it is, with a warning for one that should not stand there. Raises `InvalidInput`."""
    del context, parameter
    if url and address_of(url).has_password:
        click.echo(
            "The password in --database-url can be read by others on this machine. Set ANIMA_DATABASE_URL instead, or "
            "leave it to PGPASSWORD or ~/.pgpass.",
            err=True,
        )
    return url


database_url_option = click.option(
    "--database-url", metavar="URL", callback=warn_of_password, help="Instead of ANIMA_DATABASE_URL."
)


@anima.command()
@click.option("--to", type=int, metavar="N", help="Stop at this migration; the newest is the default.")
@click.option("--tenant", multiple=True, metavar="NAME", help="The schema of this tenant, made where there is none.")
@click.option("--status", is_flag=True, help="List the migrations and whether the database has them; change nothing.")
@database_url_option
def migrate(**asked: object) -> None:
    """Brings the database's schema up to date. Two at once are safe."""
    work("migrate")(**asked)


@anima.command()
@click.option("--host", metavar="ADDRESS", help="Listen here; 127.0.0.1 is the default, so that only this machine can.")
@click.option("--port", type=click.IntRange(0, 65535), help="7100 is the default; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Server processes that share the port.")
@click.option("--strategy", metavar="NAME", help="How requests are served: frontier (the default), batched, naive ...")
@database_url_option
@click.option("--data-directory", type=click.Path(path_type=Path), help="Where the embedded PostgreSQL keeps its data.")
@click.option("--trace-log", type=click.Path(path_type=Path), metavar="PATH", help="Log operations, to replay them.")
@click.option("--trace-contents", is_flag=True, default=None, help="Log texts as they are; else they are hashed.")
@click.option("--without-keys", is_flag=True, default=None, help="Serve other machines, and ask nobody for a key.")
@click.option("--migrate", "migrating", is_flag=True, help="Bring the schema up to date first, where it is behind.")
def serve(**asked: object) -> None:
    """Serves the memory system over HTTP until it is told to stop.

    Without a database URL it runs a PostgreSQL of its own. docs/how-to/serve.md lists the settings of the environment.
    """
    work("serve")(**asked)


@anima.command("new-key")
@click.argument("name")
@click.option("--tenant", metavar="TENANT", help="The tenant whose memories it is for.")
def new_key(**asked: object) -> None:
    """Makes an API key for NAME. The service is given its hash; the key itself is shown here and kept nowhere."""
    work("new_key")(**asked)


def main() -> NoReturn:
    """Exits with 0, 1 where the work failed, 2 for wrong usage or a database that cannot be used.

    A traceback only with --debug.
    """
    output: Any = sys.stdout
    if hasattr(output, "reconfigure"):
        output.reconfigure(errors="backslashreplace")  # As standard error: a poor encoding fails nothing.
    try:
        sys.exit(anima(standalone_mode=False))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"anima: {explanation(error)}", err=True)
        sys.exit(2 if isinstance(error, (InvalidInput, DatabaseUnavailable, DatabaseUnfit, ModuleNotFoundError)) else 1)


def explanation(error: Exception) -> str:
    """A sentence or two. What nobody expected is not quoted: it may hold a password."""
    match error:
        case AnimaError():
            return str(error)
        case ModuleNotFoundError(name=str(module)) if not module.startswith("anima"):
            return f"This needs {module}, which is not installed: {extra('serve')}."
        case OSError(strerror=str(reason)):
            return f"{reason}{f': {error.filename}' if error.filename else ''}. `anima --debug` shows where."
        case _:
            return f"An unexpected {type(error).__name__}: please report it, with what `anima --debug` shows."


if __name__ == "__main__":
    main()
