"""The ``terrahash`` command: its groups, and how errors reach the user."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from terrahash import __version__
from terrahash.cli import archive, data
from terrahash.cli.benchmark import benchmark
from terrahash.cli.demo import demo
from terrahash.cli.evaluate import evaluate
from terrahash.cli.index import index
from terrahash.cli.quantize import quantize
from terrahash.cli.search import search
from terrahash.cli.serve import serve
from terrahash.cli.train import train
from terrahash.errors import TerrahashError

# Exit codes are part of the interface: 0 done, 1 done but some inputs were skipped, 2 wrong input.
WRONG_INPUT = 2
INTERRUPTED = 130
# Operating-system errors that a user can mend: their text is the message.
_USERS_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

app = typer.Typer(
    name="terrahash",
    help="Find remote-sensing images that look alike: train a hash encoder, index tiles, search, "
    "and measure how good the answers are.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, quantize, evaluate, benchmark, index, search, serve, demo):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(archive.app, name="archive")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"terrahash {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command line; a user's error is a message and exit code 2, never a traceback."""
    try:
        app()
    except TerrahashError as error:
        _complain(error.message, error.remedy)
    except KeyboardInterrupt:
        _tell("interrupted; run the same command again to go on")
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in _USERS_ERRORS:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror}", "free or choose another place, and run it again")


def _complain(message: str, remedy: str) -> None:
    _tell(f"error: {message}" + (f"\n  → {remedy}" if remedy else ""))
    sys.exit(WRONG_INPUT)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
