"""Says what can be asked on the command line, and in which words; it imports nothing that measures, judges or shows.

What a command does lies in `harness.commands`, and is imported when the command is asked for: drivers, numerics and
drawing are slow to import, and no help needs them.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from harness.advice import MARGIN, ROUNDS_ADVISED, SLICES_ADVISED
from harness.commands._shared.options import (
    ALL_TABLES,
    DATABASE,
    HISTORY,
    OUTPUT,
    SAMPLE_FOR,
    SELECTION,
    SETTINGS,
    WAIVERS,
    without_password,
)
from harness.errors import UsageError, nearest
from harness.failures import foreseen

REPORTS: Final = ("terminal", "markdown", "html", "json", "junit", "github", "comment")
EXPORTS: Final = ("csv", "parquet", "png", "svg")
ENVIRONMENTS: Final = ("own", "shared")
SELFTESTS: Final = ("simulated", "served", "profiled")
PLOTS: Final = ("svg", "png")
SCHEMAS: Final = ("scenario", "run", "verdict", "comparison", "profile", "events")
"""What an option chooses from: the names of registries that take long to import."""


def work(place: str) -> Callable[..., object]:
    """The function that does what was asked, such as `run.run`."""
    module, _, name = place.rpartition(".")
    found: Callable[..., object] = getattr(import_module(f"harness.commands.{module}"), name)
    return found


class Commands(click.Group):
    """Names the nearest command where there is none of a name, and tells a failed system call by what it was about."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        command = super().get_command(ctx, cmd_name)
        if command is None:
            ctx.fail(f"No such command {cmd_name!r}. {nearest(cmd_name, self.commands)}")
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one meets them."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- as click has it
        """Explains a failed system call, since click takes any broken pipe for that of the output, and exits with 1."""
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
    """Measures a service, SQL or code on a real PostgreSQL, and judges the measurement.

    Exit codes: 0 pass, 1 a budget failed, 2 usage or configuration, 3 undecided, 4 invalid run or one that broke, 130
    interrupted.
    """
    context.obj = debug


@harness.command(short_help="Runs a scenario and judges it.")
@click.argument("names", metavar="[SCENARIO]…", nargs=-1)
@click.option("--once", is_flag=True, help="Ask each operation once, and show what came of it; no verdict.")
@click.option("--phase", "phases", metavar="NAME", multiple=True, help="Run only this phase.")
@click.option("--only", "operations", metavar="OPERATION", multiple=True, help="Ask only this operation.")
@click.option("--strategies", metavar="A,B,…", help="Run only these, without the budgets of others.")
@SETTINGS
@click.option(
    "--report", "reports", metavar="FORMAT=PATH", multiple=True, help="Write a report, such as junit=out.xml."
)
@SAMPLE_FOR
@click.option(
    "--workers", metavar="N|HOSTS", help="Who shares the load: so many processes, or hosts, such as local:4 or tls://…."
)
@click.option(
    "--resume", metavar="[RUN]", is_flag=False, flag_value="latest", help="Go on with a run that was cut off."
)
@click.option("--json", "as_events", is_flag=True, help="Print events as JSON, an object a line, in place of tables.")
@click.option("--quiet", is_flag=True, help="Show no progress, and of the result only the verdict and what fails.")
@DATABASE
@OUTPUT
@WAIVERS
@ALL_TABLES
def run(**asked: object) -> object:
    """Runs a scenario, by name or path (guide), and judges it; under GitHub Actions it annotates and fills the summary.

    Of several, each has its run, and the exit code is the worst. A run that goes on keeps its scenario: name none, or
    the same.
    """
    return work("run.run")(**asked)


@harness.command("try", short_help="Tries one statement, or a scenario's operations once.")
@click.argument("statement", metavar="STATEMENT|SCENARIO")
@click.option("--database", metavar="URL", callback=without_password, help="Where a statement is executed.")
@click.option("--requests", type=click.IntRange(1, 100_000), default=200, show_default=True, help="How often at most.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="How long at most.")
def try_(**asked: object) -> object:
    """Executes one statement again and again, and says how long it takes and how it is planned.

    One user waits for each answer. The session is read-only, so a statement that writes is refused. Of a scenario, a
    file, each operation is performed once on its candidate, and what was sent and what came of it is shown.
    """
    return work("try_.try_")(**asked)


@harness.command(short_help="Shows a stored run or comparison again.")
@click.argument("name", metavar="[RUN]", default="latest")
@click.option("--format", "form", type=click.Choice([*REPORTS, *EXPORTS]), default="terminal", show_default=True)
@OUTPUT
@WAIVERS
@ALL_TABLES
def report(**asked: object) -> object:
    """Renders a stored run or comparison again, and judges it: by path, by name, or `latest`.

    csv, parquet, png and svg are written into the run's directory; the other formats are printed.
    """
    return work("report.report")(**asked)


@harness.command(short_help="Shows a run that goes on in a browser, and to Prometheus.")
@click.argument("name", metavar="[RUN]", default="latest")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="Where it listens; by default wherever is free."
)
@OUTPUT
def watch(**asked: object) -> object:
    """Shows a run that goes on: charts, figures and the last requests, on a page of this machine alone.

    Its address followed by /metrics has figures for Prometheus. It reads the run's journal, so start it beside the run,
    whenever you like. Ctrl-C ends it, and not the run.
    """
    return work("watch.watch")(**asked)


@harness.command("compare", short_help="Says which of two strategies, runs or revisions is slower.")
@click.argument("baseline", metavar="A")
@click.argument("candidate", metavar="[B]", required=False)
@click.option("--strategies", "kind", flag_value="strategies", help="A and B are strategies, or variants of SCENARIO.")
@click.option("--runs", "kind", flag_value="runs", help="A and B are stored runs.")
@click.option("--revisions", "kind", flag_value="revisions", help="A and B are git revisions.")
@click.option(
    "--branch",
    "by_branch",
    is_flag=True,
    help="A is a run: compare it with the newest of its branch, or of its origin.",
)
@click.option("--scenario", "scenario_name", metavar="SCENARIO", default="local", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS_ADVISED, show_default=True)
@click.option(
    "--slices",
    type=click.IntRange(1),
    help=f"How often both sides take turns within a round; {SLICES_ADVISED}, or 1 where phases have schedules.",
)
@SAMPLE_FOR
@click.option("--variant", metavar="NAME", help="Of two runs or revisions: which variant, instead of the candidate.")
@click.option(
    "--environment",
    type=click.Choice(ENVIRONMENTS),
    default="own",
    show_default=True,
    help="Of two revisions of this repository: install each in an environment of its own, or share the libraries that "
    "are here. A service of your own says it itself, with `install`.",
)
@click.option("--anyway", is_flag=True, help="Compare runs that are unlike; the output then says so.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True),
    help=f"A change by less than this share does not matter; {MARGIN}, or what was asked of a stored comparison.",
)
@click.option(
    "--profile", "profiled", is_flag=True, help="Of two strategies or variants: also make flame graphs, for the page."
)
@click.option("--format", "form", type=click.Choice(REPORTS), default="terminal", show_default=True)
@SETTINGS
@DATABASE
@OUTPUT
@WAIVERS
@ALL_TABLES
def compare_command(**asked: object) -> object:
    """Measures two strategies, variants or git revisions in turn, or reads two stored runs: which is slower?

    With one run alone, what was compared in it is shown again. Exit codes: 0 not slower, 1 slower or more of something
    that is counted, 2 usage or configuration, 3 undecided, 4 invalid, 130 interrupted.
    """
    return work("compare.compare_command")(**asked)


@harness.command(short_help="Finds the highest rate at which all budgets hold.")
@click.argument("name", metavar="SCENARIO")
@click.option("--strategies", metavar="A,B,…", help="Of these variants, in turn; of two or more, which is higher.")
@click.option("--phase", metavar="NAME", help="Whose rate is searched, where there are several.")
@click.option(
    "--from", "start", type=click.FloatRange(0.01, 1_000_000), metavar="RATE", help="Requests per second to begin with."
)
@click.option(
    "--within",
    type=click.FloatRange(0.5, 50),
    default=2.0,
    show_default=True,
    metavar="PERCENT",
    help="How near to each other a rate that holds and one that does not are to come.",
)
@click.option(
    "--seconds", type=click.FloatRange(0.5, 3_600), default=10.0, show_default=True, help="For how long at each rate."
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 100_000),
    help="Requests under way at most; as the phase says, or 100.",
)
@SETTINGS
@click.option(
    "--report", "reports", metavar="FORMAT=PATH", multiple=True, help="Write a report, such as junit=out.xml."
)
@DATABASE
@OUTPUT
@ALL_TABLES
def capacity(**asked: object) -> object:
    """Finds the highest rate of requests at which all budgets of a scenario hold, what breaks first, and why.

    Rates are doubled until one breaks, halved between, and both ends are measured afresh until they are sure. A budget
    such as query.capacity >= 200/s is judged by it.

    Exit codes: 0 found, or its budget holds; 1 its budget fails, no rate holds, or the candidate's is lower; 2 usage or
    configuration; 3 undecided; 4 the load generator cannot go as far; 130 interrupted.
    """
    return work("capacity.capacity")(**asked)


@harness.command(short_help="Says in seconds whether a change costs more, by what is counted.")
@click.argument("scenario_name", metavar="SCENARIO")
@click.option("--base", metavar="REVISION", default="HEAD", show_default=True, help="What the working tree is held to.")
@click.option("--variant", metavar="NAME", help="Which strategy or variant, instead of the candidate.")
@click.option(
    "--environment",
    type=click.Choice(ENVIRONMENTS),
    default="shared",
    show_default=True,
    help="Of the base of this repository: share the libraries that are here, or install its own.",
)
@click.option("--fresh", is_flag=True, help="Count the base again, though its counters are kept.")
@click.option(
    "--cache", metavar="DIRECTORY", type=click.Path(path_type=Path, file_okay=False), help="Where that is kept."
)
@click.option(
    "--latencies",
    type=click.Choice(("differ", "always")),
    help="Also compare latencies, both sides in turn: where anything differs, or always. Takes minutes.",
)
@click.option(
    "--report", "reports", metavar="FORMAT=PATH", multiple=True, help="Write a report: markdown, html, json or junit."
)
@SETTINGS
@DATABASE
@OUTPUT
@WAIVERS
def gate(**asked: object) -> object:
    """Holds the working tree to its base by what is counted: statements, round trips, rows, WAL, blocks and plans.

    At two sizes of the data. Corpora and the base's counters are kept for the next gate; `harness clean` removes them.
    """
    return work("gate.gate")(**asked)


@harness.command(short_help="Proposes tighter budgets from stored runs.")
@click.argument("names", metavar="RUN…", nargs=-1, required=True)
@click.option("--suggest", "mode", flag_value="suggest", default=True, help="Propose what was measured, and its room.")
@click.option("--ratchet", "mode", flag_value="ratchet", help="Change only what becomes tighter.")
@click.option("--scenario", "scenario_name", metavar="SCENARIO", help="Write them into it; its comments stay.")
@click.option("--only", metavar="BUDGET", multiple=True, help="Budgets that begin so, such as query.statements.")
@click.option("--timed", is_flag=True, help="Propose for latencies too, which another machine may not keep.")
@OUTPUT
def budgets(**asked: object) -> object:
    """Proposes a limit for each budget of stored runs, with the risk that the next run of the same code fails it.

    What is counted of each request is held exactly; bytes, rows and processor time have a fifth of room.
    """
    return work("budgets.budgets")(**asked)


@harness.command(short_help="Accepts a regression for some time, with its reason and its owner.")
@click.argument("subject", metavar="BUDGET|FIGURE")
@click.option("--scenario", "scenario_name", metavar="SCENARIO", required=True, help="Whose budget or figure it is.")
@click.option("--reason", required=True, help="Why it is accepted.")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option(
    "--expires", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last day on which it holds, in UTC."
)
@click.option("--up-to", metavar="LIMIT", help="The worst that is accepted: another limit, or of a figure a share.")
@click.option("--figure", "is_figure", is_flag=True, help="It is a figure of `compare` or `gate`, and no budget.")
@WAIVERS
def waive(**asked: object) -> object:
    """Accepts that a budget fails: a run of which all else holds is then a PASS WITH WAIVERS, and exits with 0.

    Write the budget as the scenario has it. A waiver that has ended, or is not needed any more, fails the run; what is
    undecided or cannot be judged is never accepted.
    """
    return work("waive.waive")(**asked)


@harness.command(short_help="Shows where the time goes, before and after.")
@click.argument("name", metavar="[SCENARIO]", default="local")
@click.option("--strategies", metavar="A,B", help="Profile these: the first is the baseline, the last the candidate.")
@click.option("--rounds", type=click.IntRange(2, 100), default=6, show_default=True, help="Of each strategy.")
@click.option("--requests", type=click.IntRange(2, 10_000), default=10, show_default=True, help="In each round.")
@click.option(
    "--control",
    is_flag=True,
    help="Profile the baseline twice: what differs then is noise. So it is where there is one variant.",
)
@SETTINGS
@DATABASE
@OUTPUT
def profile(**asked: object) -> object:
    """Profiles a scenario's baseline and candidate, without measuring for a verdict.

    Leaves folded stacks, speedscope files, pyinstrument's pages, and one page with the flame graphs of the difference.
    """
    return work("profile.profile")(**asked)


@harness.command(short_help="Compares the profiles of two runs, or of one.")
@click.argument("before")
@click.argument("after", required=False)
@click.option("--variants", metavar="A,B", help="Which variants to compare; by default the candidates of two runs.")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@OUTPUT
def diff(**asked: object) -> object:
    """Compares the profiles of two runs, or of one run's baseline and candidate."""
    return work("profile.diff")(**asked)


@harness.command(short_help="Checks that strategies agree.")
@click.option("--strategies", metavar="A B …", help="By default all presets that do not search approximately.")
@click.argument("more", metavar="", nargs=-1)
@click.option("--concurrent", is_flag=True, help="Several clients at once, and what meets then.")
@click.option("--clients", type=click.IntRange(2, 6), help="With --concurrent, how many at most; by default 3.")
@click.option("--examples", type=click.IntRange(1), help="Stop after so many scripts: 100; --concurrent stops by time.")
@click.option("--seconds", type=click.FloatRange(0), help="Start none after that: 60; with --concurrent 120.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed draws other scripts.")
@click.option(
    "--database-url",
    metavar="URL",
    callback=without_password,
    help="Use schemas of its own there, not a server of its own. The password comes from PGPASSWORD or ~/.pgpass.",
)
def verify(**asked: object) -> object:
    """Looks for operations on which strategies disagree, and prints them as a script.

    A strategy is a preset, or a preset with other choices: naive+associations=batched. With --concurrent several
    clients add and query at once, their statements in a drawn order, and lose connections: what they leave must be
    what some serial order of theirs leaves.

    Exit codes: 0 no disagreement found, 1 disagreement, 2 usage or configuration, 130 interrupted.
    """
    return work("verify.verify")(**asked)


@harness.command(short_help="Shows how often the judge is wrong.")
@click.option("--long", "is_long", is_flag=True, help="Enough trials to see a promise of 1 % broken; takes hours.")
@click.option("--only", type=click.Choice(SELFTESTS), help="Simulated runs, runs on a server, or their profiles.")
@click.option("--comparisons", type=click.IntRange(1), help="How many of each kind on a server, in place of 2 or 10.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed draws other runs.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it as JSON too.")
def selftest(**asked: object) -> object:
    """Judges runs whose truth is known, and compares how often it is wrong with what is promised.

    Exit codes: 0 every promise is kept, 1 one is broken, 2 usage or configuration, 130 interrupted.
    """
    return work("selftest.selftest")(**asked)


@harness.group(short_help="Keeps a line per run, and shows what has changed.")
def history() -> None:
    """Keeps a line per run in a file, and shows what has changed over them: for reading, not for a gate."""


@history.command(short_help="Appends one run.")
@click.argument("name", metavar="[RUN]", default="latest")
@click.option("--revision", help="What was measured; by default what git says of the current directory.")
@HISTORY
@OUTPUT
@WAIVERS
def add(**asked: object) -> object:
    """Appends one run, by path, by name or `latest`. A run that is there already is not added again."""
    return work("history.commands.add")(**asked)


@history.command("show", short_help="Prints figures over time, and what has changed.")
@SELECTION
@click.option("--all", "everything", is_flag=True, help="Also runs in other circumstances, apart.")
@HISTORY
def show_history(**asked: object) -> object:
    """Prints p95 and statements of every operation, and what else has changed.

    A pattern shows just what fits, changed or not: '*', 'batched.*', '*.query.p95_s'.
    """
    return work("history.commands.show_history")(**asked)


@history.command("plot", short_help="Draws a figure per operation.")
@SELECTION
@HISTORY
@click.option(
    "--to",
    "place",
    type=click.Path(path_type=Path),
    default=Path(),
    help="A directory, or the file of the only figure, whose ending is its format.",
)
@click.option("--format", "form", type=click.Choice(PLOTS), default=PLOTS[0], show_default=True)
def plot_(**asked: object) -> object:
    """Draws a figure per operation: a panel per metric, a line per variant, change points marked."""
    return work("history.commands.plot_")(**asked)


@harness.group(short_help="Writes a scenario out of what there is already.")
def init() -> None:
    """Writes a scenario that runs, out of what there is already."""


@init.command()
@click.option(
    "--from", "url", metavar="URL", callback=without_password, help="A database: its tables and costliest statements."
)
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True)
def sql(**asked: object) -> object:
    """Writes SQL statements, a schema, and a scenario of them.

    With --from they are those of a database, which is only read: its ten statements that pg_stat_statements counted
    most time for. Its rows, and the values in its statements, are not copied.
    """
    return work("init.sql")(**asked)


@init.command()
@click.option("--openapi", "source", metavar="FILE|URL", required=True, help="An OpenAPI document, as JSON.")
@click.option("--url", help="Where the service runs, if not where the document was found, or says so.")
@click.option("--to", "target", type=click.Path(path_type=Path), default="service.toml", show_default=True)
def http(**asked: object) -> object:
    """Makes each endpoint of a service an operation."""
    return work("init.http")(**asked)


@init.command()
@click.option("--to", "target", type=click.Path(path_type=Path), default="test_performance.py", show_default=True)
def pytest(**asked: object) -> object:
    """Writes a test with a budget."""
    return work("init.pytest")(**asked)


@harness.command(short_help="Writes a scenario out of recorded requests.")
@click.argument("recording", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--to", "target", type=click.Path(path_type=Path), help="The scenario; FILE with .toml unless stated.")
@click.option("--url", help="Where the service runs, if not where it was recorded.")
@click.option("--trace", is_flag=True, help="Send each request at the distance that it had, instead of drawing.")
@click.option("--static", "with_static", is_flag=True, help="Keep scripts, styles, pictures and fonts.")
def record(**asked: object) -> object:
    """Makes a scenario of recorded requests, with an operation for each route.

    FILE is a HAR file, as browsers export, or an access log: the combined format of nginx and Apache, or JSON lines.
    Keys, cookies and passwords are not kept: the scenario takes them from the environment.
    """
    return work("record.record")(**asked)


@harness.command("list", short_help="Lists scenarios, strategies and stored runs.")
@OUTPUT
def list_(**asked: object) -> object:
    """Lists scenarios, strategies and stored runs."""
    return work("listing.list_")(**asked)


@harness.command(short_help="Says what this machine has, and what is missing.")
@click.option("--generator", "measures_generator", is_flag=True, help="Measure the load generator instead: some 5 s.")
@OUTPUT
def doctor(**asked: object) -> object:
    """Says what this machine has, what a run would use, and how to get what is missing."""
    return work("doctor.doctor")(**asked)


@harness.command(short_help="Says what is wrong with scenario files.")
@click.argument("names", metavar="FILE…", nargs=-1, required=True)
def check(**asked: object) -> object:
    """Reads scenario files as `harness run` does, and says what is wrong with them and what they leave to chance.

    Nothing is started or measured. Exit codes: 0 all are right, 2 one is not.
    """
    return work("check.check")(**asked)


@harness.command(short_help="Prints the JSON schema of a scenario, or of what runs leave.")
@click.argument("kind", type=click.Choice(SCHEMAS), default=SCHEMAS[0])
def schema(**asked: object) -> object:
    """Prints a JSON schema: of a scenario file, for editors; or of what runs leave, for other programs.

    That is a run's record.json, its report.json (verdict), comparison.json (comparison), one profile of the record,
    and a line of `harness run --json` (events). Each names its version, within which fields are only added.
    """
    return work("schema.schema")(**asked)


@harness.command(short_help="Removes what runs have left behind.")
@DATABASE
def clean(**asked: object) -> object:
    """Removes what runs have left that are no more, as after a power cut, and what gates keep for later ones.

    What a run still uses stays.
    """
    return work("clean.clean")(**asked)
