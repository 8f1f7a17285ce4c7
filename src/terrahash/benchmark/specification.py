"""What a benchmark is asked to run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from terrahash.errors import InputError
from terrahash.evaluation.protocols import PROTOCOLS

VARIANTS = ("corrected", "published")
MODES = ("frozen", "finetune")
DEFAULT_SPLIT = "60-40"
# Weights that are named and not a file.
NAMED_WEIGHTS = ("timm", "none")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: its encoder is measured under every protocol asked for.

    Attributes:
        data: as the user named it.
        method, variant, bits, mode, backbone, weights, size, epochs, device: as
            :class:`terrahash.learning.TrainingOptions` has them.
        seed: of the split and of training.
        split: as :func:`terrahash.datasets.split_from_text` reads it.
    """

    data: str
    method: str
    variant: str
    bits: int
    seed: int
    mode: str
    split: str
    backbone: str | None
    weights: str | None
    size: int | None
    epochs: int | None
    device: str | None

    @property
    def title(self) -> str:
        """The run in a few words."""
        variant = "" if self.variant == "corrected" else f" {self.variant}"
        return f"{self.data} {self.method}{variant} {self.bits} bits seed {self.seed}"

    def options(self) -> dict[str, Any]:
        """What :class:`terrahash.learning.TrainingOptions` takes; what is None is left out."""
        chosen = asdict(self)
        for name in ("data", "split"):
            del chosen[name]
        return {name: value for name, value in chosen.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Specification:
    """Data sets × methods × variants × bits × seeds, each run under all protocols.

    Raises:
        InputError: if a list is empty or names something twice or unknown, or k is below 1.
    """

    data: tuple[str, ...]
    methods: tuple[str, ...]
    bits: tuple[int, ...]
    variants: tuple[str, ...] = ("corrected",)
    seeds: tuple[int, ...] = (0,)
    protocols: tuple[str, ...] = ("within-test",)
    mode: str = "frozen"
    split: str = DEFAULT_SPLIT
    k: int = 20
    backbone: str | None = None
    weights: str | None = None
    size: int | None = None
    epochs: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        for what in ("data", "methods", "bits", "variants", "seeds", "protocols"):
            chosen = getattr(self, what)
            if not chosen:
                raise InputError(f"a benchmark without {what} has nothing to run", f"give {what}")
            twice = [value for value in chosen if chosen.count(value) > 1]
            if twice:
                raise InputError(f"{what}: '{twice[0]}' is given twice", "give it once")
        known = {"variants": VARIANTS, "protocols": tuple(PROTOCOLS)}
        for what, names in known.items():
            for name in getattr(self, what):
                if name not in names:
                    raise InputError(
                        f"{what}: '{name}' is not known", f"choose from {', '.join(names)}"
                    )
        if self.mode not in MODES:
            raise InputError(f"unknown mode '{self.mode}'", f"choose one of: {', '.join(MODES)}")
        if self.k < 1:
            raise InputError(f"k = {self.k} answers are none", "choose k of 1 or more")

    def runs(self) -> Iterator[Run]:
        """Every run: seeds slowest, so that a first table is whole as early as can be."""
        for seed in self.seeds:
            for data in self.data:
                for bits in self.bits:
                    for method in self.methods:
                        for variant in self.variants:
                            yield Run(
                                data=data,
                                method=method,
                                variant=variant,
                                bits=bits,
                                seed=seed,
                                mode=self.mode,
                                split=self.split,
                                backbone=self.backbone,
                                weights=self.weights,
                                size=self.size,
                                epochs=self.epochs,
                                device=self.device,
                            )

    @property
    def command(self) -> str:
        """The command that runs it, without the places of files on this machine."""
        return command_line(
            data=self.data,
            methods=self.methods,
            bits=self.bits,
            variants=self.variants,
            seeds=self.seeds,
            protocols=self.protocols,
            options={
                "mode": self.mode,
                "split": self.split,
                "k": self.k,
                "backbone": self.backbone,
                "weights": self.weights if self.weights in NAMED_WEIGHTS else None,
                "size": self.size,
                "epochs": self.epochs,
            },
        )


def command_line(
    *,
    data: Sequence[str],
    methods: Sequence[str],
    bits: Sequence[int],
    variants: Sequence[str],
    seeds: Sequence[int],
    protocols: Sequence[str],
    options: Mapping[str, object],
) -> str:
    """The command that runs this part of a benchmark."""
    words = ["terrahash", "benchmark", *data]
    lists: dict[str, Sequence[object]] = {
        "methods": methods,
        "bits": bits,
        "variants": variants,
        "seeds": seeds,
        "protocols": protocols,
    }
    for name, values in lists.items():
        words += [f"--{name}", ",".join(map(str, values))]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", str(value)]
    return shlex.join([*words, "--out", "DIR"])
