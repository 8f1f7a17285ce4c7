"""The ``terrahash`` command: its groups, and how errors reach the user."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

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
# A fault of terrahash itself; sysexits.h calls it EX_SOFTWARE.
FAULT = 70
# As a shell counts a command that SIGINT or SIGPIPE ended.
INTERRUPTED = 128 + 2
PIPE_CLOSED = 128 + 13
REPORT = "please report it, with the command and the lines above"
# Errors of a disk as such, which name no file.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class _Stopped(BaseException):
    """What ended a command, carried past typer, which has codes and texts of its own for it."""

    def __init__(self, code: int) -> None:
        self.code = code


class _Commands(TyperGroup):
    """The commands, whose interruption is told by :func:`main`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Stopped(INTERRUPTED) from None
        except BrokenPipeError:
            raise _Stopped(PIPE_CLOSED) from None


app = typer.Typer(
    name="terrahash",
    cls=_Commands,
    rich_markup_mode="markdown",
    help="Find remote-sensing images that look alike: train a hash encoder, index tiles, search, "
    "and measure how good the answers are.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command, example in (
    (train, "terrahash train ucmerced --method dhcl --bits 64 --out models/uc"),
    (quantize, "terrahash quantize ucmerced --model models/uc --out models/uc8"),
    (evaluate, "terrahash evaluate ucmerced --model models/uc --out reports/uc"),
    (benchmark, "terrahash benchmark ucmerced --methods dhcl,mhcln --bits 16,64 --out results"),
    (index, "terrahash index tiles/ --model models/uc --archive tiles.terrahash"),
    (search, "terrahash search query.tif --archive tiles.terrahash -k 10 --grid answers.png"),
    (serve, "terrahash serve --archive tiles.terrahash"),
    (demo, "terrahash demo --out demo-output"),
):
    app.command(epilog=f"Example: {example}")(command)
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
    except _Stopped as stopped:
        _leave(stopped.code)
    except OSError as error:
        # Paths, disks and permissions are the user's: the system's own words say what is wrong.
        if error.filename is None and error.errno not in _DISK_ERRORS:
            _own_up()
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror}", "free or choose another place, and run it again")
    except Exception:
        _own_up()


def _leave(code: int) -> None:
    if code == INTERRUPTED:
        _tell("interrupted; what was stored is kept, and the same command can be run again")
    else:
        # Whatever read the output has gone: what is still to be flushed has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _own_up() -> NoReturn:
    traceback.print_exc()
    _tell(f"error: this is a fault of terrahash {__version__}, not yours\n  → {REPORT}")
    sys.exit(FAULT)


def _complain(message: str, remedy: str) -> NoReturn:
    _tell(f"error: {message}" + (f"\n  → {remedy}" if remedy else ""))
    sys.exit(WRONG_INPUT)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
