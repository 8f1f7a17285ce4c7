"""The model card: what an encoder was trained on, and what its validation images say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from terrahash.codes import CodeLayout, distances
from terrahash.datasets import Dataset
from terrahash.encoder import Encoded, Encoder
from terrahash.evaluation.examples import label_of
from terrahash.evaluation.pictures import QueryRow, Tile, png, query_grid
from terrahash.evaluation.trust import precision_by_distance
from terrahash.imagery.bands import Bands
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.learning.validation import validate

README = "README.md"
PICTURE = "answers.png"
PICTURE_QUERIES = 4
PICTURE_ANSWERS = 8


def with_validation(encoder: Encoder, held_out: Dataset) -> Encoder:
    """The encoder with its validation numbers, its distance → precision curve and a model card.

    Args:
        encoder: as exported.
        held_out: labelled images that it was not fitted to; fewer than two leave the numbers out.
    """
    card = dict(encoder.card)
    card["validation"] = card["precision_by_distance"] = None
    encoded = None
    if len(held_out) > 1 and held_out.labels is not None:
        encoded = encoder.encode_files(held_out.paths)
        card["validation"] = validate(encoded, held_out.targets, encoder.layout).to_json()
        trust = precision_by_distance(encoded.codes, held_out.labels, encoder.layout)
        card["precision_by_distance"] = trust.to_json()
    finished = Encoder(card, encoder.model, encoder.files)
    if encoded is not None:
        finished.files[PICTURE] = _picture(encoded, held_out, encoder.layout)
    finished.files[README] = model_card(finished).encode()
    return finished


def _picture(encoded: Encoded, held_out: Dataset, layout: CodeLayout) -> bytes:
    """Some validation images with their nearest other ones, right and wrong marked, as PNG."""
    step = max(1, len(held_out) // PICTURE_QUERIES)
    relevant = held_out.targets
    rows = []
    for query in range(0, len(held_out), step)[:PICTURE_QUERIES]:
        apart = distances(encoded.codes[query : query + 1], encoded.codes, layout)[0]
        nearest = [row for row in np.argsort(apart, kind="stable").tolist() if row != query]
        answers = tuple(
            Tile(
                held_out.paths[row],
                label_of(held_out, row),
                f"{apart[row]:g} bits",
                bool((relevant[row] & relevant[query]).any()),
            )
            for row in nearest[:PICTURE_ANSWERS]
        )
        rows.append(QueryRow(Tile(held_out.paths[query], label_of(held_out, query)), answers))
    return png(query_grid(rows))


def model_card(encoder: Encoder) -> str:
    """The card in Markdown."""
    card = encoder.card
    layout = encoder.layout
    title = f"{card['method'].upper()} {layout.bits} bits, {card['dataset']}"
    label_bits = f", of which {layout.label_bits} are label bits" if layout.label_bits else ""
    rows = [
        ("method", f"{card['method']} ({card['variant']}), {card['mode']}"),
        ("code", f"{layout.bits} bits{label_bits}"),
        ("backbone", f"{card['backbone']}, weights: {card['weights']}"),
        ("input", _input(encoder.preprocessing)),
        (
            "trained on",
            f"{card['dataset']}: {card['images']['fit']} images, "
            f"{card['images']['validation']} for validation, {len(card['classes'])} classes",
        ),
        ("split", f"{card['split_rule']}, seed {card['split_seed']}, hash {card['split_hash']}"),
        ("seed", str(card["seed"])),
        (
            "training",
            f"{card['seconds']:.0f} s on {card['device']}, best epoch {card['best_epoch'] + 1}",
        ),
        ("fingerprint", encoder.fingerprint),
        ("versions", ", ".join(f"{name} {number}" for name, number in card["versions"].items())),
    ]
    lines = [f"# {title}", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    if card["validation"]:
        lines += ["", "## On its validation images", "", *_validation(card["validation"])]
    if card.get("quantization"):
        lines += ["", "## In 8 bits", "", *_quantization(card)]
    if encoder.preprocessing.bands is not None:
        lines += ["", "## Bands", "", *_bands(encoder.preprocessing.bands)]
    lines += ["", "## Classes", "", ", ".join(card["classes"]), "", "## Use", "", *USE]
    return "\n".join(lines) + "\n"


def _input(preprocessing: Preprocessing) -> str:
    bands = "RGB" if preprocessing.bands is None else f"of {preprocessing.bands}"
    return f"{preprocessing.size} × {preprocessing.size} {bands}"


def _bands(bands: Bands) -> list[str]:
    rows = [
        f"| {name} | {place} | {low:g} | {high:g} |"
        for name, place, (low, high) in zip(bands.names, bands.places, bands.limits, strict=True)
    ]
    return [
        f"Values of type {bands.dtype}; measured on the images that were fitted to. Other images "
        "need the same bands in the same units.",
        "",
        f"| band | number of {bands.total} | becomes 0 | becomes 255 |",
        "| --- | ---: | ---: | ---: |",
        *rows,
    ]


def _validation(numbers: dict[str, float]) -> list[str]:
    return [
        f"Each of {numbers['n_queries']} validation images queries the others; ties count as the "
        "expectation over all their orders.",
        "",
        f"- mAP@{numbers['k']}: {numbers['map_at_k']:.3f}",
        f"- mAP over the full ranking: {numbers['map']:.3f}",
        f"- distinct codes: {numbers['distinct_codes']}",
        "",
        f"![Validation images and their nearest others]({PICTURE})",
        "",
        "These images chose the epoch, so the numbers are a little kind. For the test images run "
        "`terrahash evaluate`.",
    ]


def _quantization(card: Mapping[str, Any]) -> list[str]:
    found, after = card["quantization"], card["validation"]
    lines = [
        f"Weights and activations are 8-bit integers, their ranges from "
        f"{found['calibration_images']} images that were fitted to. On {found['compared_images']} "
        f"images {found['equal_bits']:.2%} of the bits are those of the original "
        f"({found['of'][:12]}).",
    ]
    if found["validation"] and after:
        lines += [
            "",
            f"| | mAP@{after['k']} | mAP | distinct codes |",
            "| --- | ---: | ---: | ---: |",
            *(
                f"| {name} | {one['map_at_k']:.4f} | {one['map']:.4f} | {one['distinct_codes']} |"
                for name, one in (("original", found["validation"]), ("8 bits", after))
            ),
        ]
    return lines


USE = [
    "```",
    "terrahash index TILES --model THIS_FOLDER --archive tiles.terrahash",
    "terrahash search QUERY.tif --archive tiles.terrahash",
    "```",
]
