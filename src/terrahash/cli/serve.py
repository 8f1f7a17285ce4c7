"""``terrahash serve``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from terrahash.errors import InputError

PREFIX = "TERRAHASH_"


def serve(
    archive: Annotated[
        Path | None,
        typer.Option("--archive", "-a", envvar=PREFIX + "ARCHIVE", help="Folder of the archive."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            envvar=PREFIX + "HOST", help="Address to listen at; beyond loopback needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar=PREFIX + "PORT", help="Port to listen at; 0 for a free one.")
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar=PREFIX + "TOKEN_FILE",
            help="File with the token that callers must show; or set TERRAHASH_TOKEN.",
        ),
    ] = None,
    write_token_file: Annotated[
        Path | None,
        typer.Option(
            envvar=PREFIX + "WRITE_TOKEN_FILE",
            help="File with the token that allows adding and deleting; or TERRAHASH_WRITE_TOKEN.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar=PREFIX + "ALLOWED_HOSTS", help="Name that the service is reached by; repeat."
        ),
    ] = None,
    max_upload_mb: Annotated[
        int, typer.Option(envvar=PREFIX + "MAX_UPLOAD_MB", help="Largest request body, MiB.")
    ] = 32,
    max_requests: Annotated[
        int, typer.Option(envvar=PREFIX + "MAX_REQUESTS", help="Requests under way at once.")
    ] = 256,
    basemap: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar=PREFIX + "BASEMAP",
            help="Raster tiles below the footprints, with {z}/{x}/{y}; by default a coastline.",
        ),
    ] = None,
    basemap_attribution: Annotated[
        str, typer.Option(envvar=PREFIX + "BASEMAP_ATTRIBUTION", help="Whom those tiles are of.")
    ] = "",
    remote_pictures: Annotated[
        bool,
        typer.Option(
            "--remote-pictures",
            envvar=PREFIX + "REMOTE_PICTURES",
            help="Fetch the pictures of tiles that were indexed from addresses.",
        ),
    ] = False,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Serve built-in scenes; made at the first use."),
    ] = False,
) -> None:
    """Serve an archive's search: a page to look at, and REST under /api/v1.

    Everything can be set by environment as well. Stops at Ctrl-C once running requests are done.
    """
    if (archive is None) != demo:
        raise InputError(
            "nothing to serve" if not demo else "--demo brings its own archive",
            "give --archive ARCHIVE, or --demo",
        )
    from terrahash.service import Settings, serve

    settings = Settings(
        archive=archive if archive is not None else _demo_archive(),
        host=host,
        port=port,
        token=_token(token_file, "TOKEN"),
        write_token=_token(write_token_file, "WRITE_TOKEN"),
        allowed_hosts=tuple(allowed_host or ()),
        max_upload_mb=max_upload_mb,
        max_requests=max_requests,
        basemap=basemap,
        basemap_attribution=basemap_attribution,
        remote_pictures=remote_pictures,
        demo=demo,
    )
    if not demo and not (settings.archive / "archive.sqlite").exists():
        raise InputError(
            f"{settings.archive} is not an archive",
            f"make one: terrahash index IMAGES --model MODEL --archive {settings.archive}",
        )
    serve(settings, prepare=_make_demo if demo else None, announce=_announce)


def _announce(address: str) -> None:
    _tell(f"terrahash is at {address}  (Ctrl-C to stop)")


def _token(file: Path | None, name: str) -> str | None:
    """A token from its file, or from the environment; never from the command line, which shows."""
    if file is None:
        return os.environ.get(PREFIX + name) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", "name a file with the token") from None


def _demo_archive() -> Path:
    from terrahash.service import demo

    return demo.archive()


def _make_demo() -> None:
    """Make the archive of the built-in scenes at the first use."""
    from terrahash.cli.main import INTERRUPTED
    from terrahash.service import demo

    if demo.is_made():
        return
    _tell(
        "Making the demo, once: scenes are drawn, an encoder is trained on them, and they are "
        f"indexed.\nThis takes about a minute on two free processors; kept in {demo.folder()}"
    )
    try:
        code = demo.make()
    except KeyboardInterrupt:
        # The process that was making it has said so.
        raise typer.Exit(INTERRUPTED) from None
    if code:
        raise typer.Exit(code)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
