"""Options that several commands share, with their choices; importing it costs nothing."""

from __future__ import annotations

from typing import Annotated

import typer

# The names that `terrahash.learning` knows, here without importing torch.
METHODS = (
    "dhcl", "mhcln", "hpsh", "ahcl",
    "adsh", "dpsh", "hashnet", "greedyhash", "csq", "orthohash", "itq", "lsh",
)  # fmt: skip
MODES = ("frozen", "finetune")
VARIANTS = ("corrected", "published")

Method = Annotated[
    str,
    typer.Option(
        metavar="METHOD",
        help=f"{', '.join(METHODS[:4])}; baselines: {', '.join(METHODS[4:])}.",
        autocompletion=lambda: list(METHODS),
    ),
]
Mode = Annotated[
    str,
    typer.Option(
        metavar="MODE",
        help="frozen: a head on fixed features; finetune: the whole network.",
        autocompletion=lambda: list(MODES),
    ),
]
Variant = Annotated[
    str,
    typer.Option(
        metavar="VARIANT",
        help="corrected, or published: as the authors' code behaves.",
        autocompletion=lambda: list(VARIANTS),
    ),
]
Split = Annotated[
    str,
    typer.Option(metavar="SPLIT", help="Train-test percentages, an authors' rule or a split file."),
]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        help="Side of the network's input; by default 256, or 192 where the whole network is "
        "trained.",
    ),
]
Ids = Annotated[
    list[int] | None, typer.Option("--id", metavar="ID", help="A stored tile; may be repeated.")
]
Where = Annotated[
    str | None,
    typer.Option(metavar="CONDITION", help="Such as \"label = 'harbor' AND confidence >= 0.9\"."),
]
BBox = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(metavar="W S E N", help="Footprints that meet this box, degrees."),
]
After = Annotated[str | None, typer.Option(metavar="DATE", help="Taken then or later.")]
Before = Annotated[str | None, typer.Option(metavar="DATE", help="Taken before.")]
