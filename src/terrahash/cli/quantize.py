"""``terrahash quantize``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from terrahash.cli.evaluate import choose_split
from terrahash.encoder.encoder import SPLIT


def quantize(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="The data set that the encoder was trained on.")
    ],
    model: Annotated[Path, typer.Option("--model", "-m", help="Folder of the encoder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the encoder in 8 bits.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the encoder's card.")] = False,
) -> None:
    """Make an encoder of 8-bit integers: faster on most processors; a few of 100 bits differ.

    Ranges are taken from images that the encoder was fitted to; its card compares both on the
    validation images. 'terrahash evaluate' measures it on the test images, as any encoder.
    """
    from terrahash.cli.loading import load
    from terrahash.cli.output import check_folder
    from terrahash.encoder import Encoder
    from terrahash.encoder.encoder import check_place
    from terrahash.learning.quantizing import quantize as make

    check_folder(out)
    check_place(out)
    encoder = Encoder.load(model)
    dataset = load(data)
    split = choose_split(encoder.card, dataset, None, None, model / SPLIT)
    quantized = make(encoder, dataset, split)
    quantized.save(out)
    if as_json:
        typer.echo(json.dumps(quantized.card))
        return
    found = quantized.card["quantization"]
    line = f"{out}  {found['equal_bits']:.1%} of bits equal on {found['compared_images']} images"
    before, after = found["validation"], quantized.card["validation"]
    if before and after:
        scores = f"{after['map_at_k']:.3f}, before {before['map_at_k']:.3f}"
        line += f"  validation mAP@{after['k']} {scores}"
    typer.echo(line)
