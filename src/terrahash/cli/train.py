"""``terrahash train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from terrahash.cli.choices import Method, Mode, Size, Split, Variant


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A known data set, 'scenes', or a folder of class folders."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the encoder.")],
    method: Method = "dhcl",
    bits: Annotated[int, typer.Option(help="Bits of the code, label bits included.")] = 64,
    mode: Mode = "frozen",
    variant: Variant = "corrected",
    split: Split = "60-40",
    seed: Annotated[int, typer.Option(help="Seed of the split and of training.")] = 0,
    backbone: Annotated[str, typer.Option(help="A timm architecture.")] = "mobilenetv2_100",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|timm|none",
            help="Pretrained weights; by default a file in $TERRAHASH_WEIGHTS, else timm's hub.",
        ),
    ] = None,
    size: Size = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="all|B02,B08,…",
            help="Bands of the images, by name or number; by default RGB of pictures, and all "
            "bands of 16-bit and many-banded GeoTIFF.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the method's own number.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the best.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the encoder's card.")] = False,
) -> None:
    """Train an encoder on labelled images and save it to a folder.

    The encoder keeps its split, so that evaluation uses the same one. Interrupted training goes on
    when the same command is run again.
    """
    from terrahash.cli.loading import load
    from terrahash.cli.output import check_folder
    from terrahash.datasets import split_from_text
    from terrahash.encoder.encoder import check_place
    from terrahash.learning.compat import import_timm
    from terrahash.progress import Terminal

    check_folder(out)
    check_place(out)
    dataset = load(data)
    chosen = split_from_text(split, dataset, seed=seed)
    import_timm()
    from terrahash.learning import train as train_encoder
    from terrahash.learning.processes import is_first_process

    with Terminal() as terminal:
        encoder = train_encoder(
            dataset,
            chosen,
            reporter=terminal,
            method=method,
            bits=bits,
            mode=mode,
            variant=variant,
            seed=seed,
            backbone=backbone,
            weights=weights,
            size=size,
            bands=tuple(part.strip() for part in bands.split(",")) if bands else None,
            epochs=epochs,
            device=device,
        )
    if not is_first_process():
        return
    encoder.save(out)
    if as_json:
        typer.echo(json.dumps(encoder.card))
        return
    numbers = encoder.card["validation"]
    quality = (
        f"  validation mAP@{numbers['k']} {numbers['map_at_k']:.3f}"
        f" on {numbers['n_queries']} images"
        if numbers
        else ""
    )
    typer.echo(f"{out}  {encoder.bits} bits  {encoder.card['seconds']:.0f} s{quality}")
