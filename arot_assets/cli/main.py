"""`arot`: the group of all commands, and how errors are shown to the user.

Belongs here: the list of commands. A command is imported only when it is called, so that each starts quickly.
"""

import codecs
import importlib
import io
import os
import sys
from typing import NoReturn

import click

from arot_assets.cli.interrupts import interrupts_kept
from resources.errors import ArotError, causes, refusal
from resources.root import PROJECT_VARIABLE

COMMANDS = {
    "demo": "run the whole demo on examples/, then show a summary and what to try next",
    "init": "create a project: a folder for your own declarations, SQL and metrics",
    "new": "declare a dataset, a subset or an export, in a file",
    "run": "do all missing work: inventory, samples, metrics, classifiers, SQL models",
    "status": "show what is done, missing and failed, by reason",
    "retry": "compute failed rows again",
    "promote": "let a trained model score, whatever its gate said",
    "rollback": "let the model score that did before",
    "export": "write a subset as files that trainers load",
    "buckets": "show what trainers would crop, up-scale and leave over",
    "diff": "show what changed between two versions of an export",
    "forget": "take samples out of every table and export, for ever",
    "publish": "publish a subset as a dataset on the Hugging Face Hub",
    "sql": "query the tables in SQL",
    "review": "rate samples in the browser, and take the ratings in",
    "withdraw": "remove everything that a rater said",
    "explain": "show what a subset removes, or why a sample is in it",
    "report": "show what is wrong with a dataset: counts, thumbnails, SQL",
    "search": "find the images that are most like an image or a text",
    "models": "the model catalogue: list, show, fetch, pin, verify, publish",
    "cut": "cut the clips of a SQL model out of their films, and prove each file",
    "ls": "list objects on any scheme",
    "cat": "write objects to the terminal or a pipe",
    "peek": "show what a file contains, without fetching all of it",
    "cp": "copy objects between any two schemes",
    "sync": "make one folder match another",
    "rm": "delete objects on any scheme",
    "gc": "list what nothing in the store refers to, and remove it",
    "verify": "check that every table, row and model is what was written",
    "doctor": "check what is installed, reachable and configured, and how to fix what is not",
    "ui": "open Dagster on the results",
}
"""Command -> short help. The module of a command is ``arot_assets.cli.<command>``, its function ``command``."""

INTERRUPTED = 130
"""Exit status of a command that Ctrl-C stopped, by which a shell stops the script around it."""
PRINTABLE = "arot-printable"
"""How the terminal's encoding is used, for ``codecs.register_error``."""


def _printable(error: UnicodeError) -> tuple[bytes | str, int]:
    """Bytes of a name that is not UTF-8 are printed as they are, and what the terminal cannot show as ``?``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    shown = bytes([ord(letter) - 0xDC00]) if "\udc80" <= letter <= "\udcff" else "?"
    return shown, error.start + 1


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and shows expected errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which a new user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"arot_assets.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The requested command; the error for an unknown name suggests the one that was probably meant."""
        from arot_assets.errors import did_you_mean

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run; an error that the user can act on is one line and exit status 1, not a traceback."""
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            ctx.color = False
        try:
            with interrupts_kept():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            _stop(ctx)
        except click.MissingParameter as error:
            raise click.MissingParameter(_names_to_choose(error), error.ctx, error.param, error.param_hint) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if any(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
                _stop(ctx)  # a library says otherwise, such as that it cannot be imported
            told = error if isinstance(error, ArotError) else refusal(error)
            if told is None:
                raise
            click.secho(f"Error: {told}", err=True, fg="red")
            ctx.exit(1)


def _stop(ctx: click.Context) -> NoReturn:
    """End a command that was interrupted, with what it keeps."""
    progress = sys.modules.get("arot_assets.progress")
    if progress is None or not progress.stopped():
        click.echo("\nstopped", err=True)
        ctx.exit(INTERRUPTED)
    click.echo(f"\nstopped; {progress.what_is_kept()}; the same command continues from there", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # threads waiting for a server or a large image are abandoned: none of their work is kept
    os._exit(INTERRUPTED)


def _names_to_choose(error: click.MissingParameter) -> str:
    """What is declared that a missing argument could name; empty if it could name anything else."""
    from arot_assets.declarations import load_declarations
    from arot_assets.declarations.kinds import kind_of

    if error.param is None or error.ctx is None or error.param.name not in ("dataset", "name"):
        return ""
    try:
        declared = load_declarations()
    except ArotError:
        return ""  # the command says so, once it is complete
    if error.param.name == "dataset":
        names = list(declared.datasets)
        remedy = "none is declared; declare one with `arot new image-dataset NAME SOURCE`"
    else:
        names = [one.name for one in declared.all() if kind_of(type(one)).command == error.ctx.info_name]  # type: ignore[attr-defined]
        remedy = ""
    return f"declared: {', '.join(sorted(names))}" if names else remedy


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="arot")
@click.option(
    "--project",
    type=click.Path(file_okay=False),
    help="the project's folder; default: $AROT_PROJECT, otherwise the nearest folder upward that has an arot.toml",
)
def main(project: str | None) -> None:
    """Training data for image and video generators, as assets.

    \b
    Getting started:
      arot demo                                  see it work on the example images
      arot new image-dataset cats ~/pictures     declare your own dataset
      arot run cats                              do all missing work, and only that
      arot sql "select * from cats.wide limit 5" query the tables
      arot ui                                    watch and launch in the browser

    Tables are Parquet files below $AROT_STORE (default: .arot/store in the project); any DuckDB client can open
    catalog.duckdb there, read-only. The exit status of a command is 0 only if it succeeded.
    """
    codecs.register_error(PRINTABLE, _printable)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=PRINTABLE)
    if project is not None:
        os.environ[PROJECT_VARIABLE] = os.path.abspath(project)  # also for processes started by a command
