"""Which bands an encoder takes, and which of their values become 0 and 255."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from terrahash.errors import ImageError, InputError
from terrahash.imagery.scaling import Limits

if TYPE_CHECKING:
    from terrahash.imagery.scene import Scene

# STAC's common names of Sentinel-2's bands. Numbers of other sensors mean different colours from
# one satellite to the next.
_COMMON = {
    "b01": "coastal", "b02": "blue", "b03": "green", "b04": "red", "b05": "rededge071",
    "b06": "rededge075", "b07": "rededge078", "b08": "nir", "b8a": "nir08", "b09": "nir09",
    "b10": "cirrus", "b11": "swir16", "b12": "swir22", "r": "red", "g": "green", "b": "blue",
}  # fmt: skip
COLOURS = ("red", "green", "blue")


def common_name(name: str) -> str:
    """What a band shows, in STAC's common names where the name is known, else the name itself."""
    first = name.lower().split(" ")[0]
    return _COMMON.get(first, first)


@dataclass(frozen=True)
class Bands:
    """The bands that an encoder takes, in its order, as it met them in training.

    Attributes:
        names: as the training images call them; numbers from 1 where those say nothing.
        dtype: of the training images' pixels.
        limits: per band, the values that become 0 and 255.
        places: their numbers (from 1) in the training images.
        total: bands of the training images.

    Raises:
        InputError: if they do not fit each other.
    """

    names: tuple[str, ...]
    dtype: str
    limits: Limits
    places: tuple[int, ...]
    total: int

    def __post_init__(self) -> None:
        counts = len(self.names), len(self.limits), len(self.places)
        if not self.names or len(set(counts)) != 1 or max(self.places) > self.total:
            raise InputError(
                f"{counts[0]} bands with {counts[1]} ranges of values and {counts[2]} places of "
                f"{self.total}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return ", ".join(name if not name.isdecimal() else f"band {name}" for name in self.names)

    def choose(self, scene: Scene, wanted: Sequence[str] = ()) -> tuple[int, ...]:
        """Numbers (from 1) of a scene's bands that are these.

        By their names, or by what the names stand for (``B08`` is ``nir``); in a scene that does
        not name its bands by their places in the training images if it has as many as those, or in
        its own order if it has as many as the encoder takes.

        Args:
            scene: its header.
            wanted: what a user chose to stand for them, by name or number, in this order.

        Raises:
            ImageError: if it lacks one; the message names those expected and those given.
        """
        if wanted:
            if len(wanted) != len(self):
                raise ImageError(
                    f"{len(wanted)} bands were chosen ({', '.join(wanted)}); the encoder takes "
                    f"{len(self)}: {self}",
                    "choose as many, in this order",
                )
            return scene.choose(wanted)
        showing = [n for n, band in enumerate(scene.bands, start=1) if band.shows != "alpha"]
        named = [number for number in showing if scene.bands[number - 1].name]
        if not named or all(map(str.isdecimal, self.names)):
            if len(showing) == self.total:
                return tuple(showing[place - 1] for place in self.places)
            if len(showing) == len(self):
                return tuple(showing)
        found = [self._find(name, scene, named) for name in self.names]
        lacking = [name for name, number in zip(self.names, found, strict=True) if number is None]
        if lacking:
            have = ", ".join(scene.bands[number - 1].name for number in named) or "without names"
            raise ImageError(
                f"{scene.source}: has {_count(len(showing))} ({have}); the encoder takes "
                f"{len(self)}: {self}" + (f"; {', '.join(lacking)} not found" if named else ""),
                "use images with these bands (an index run may say which bands stand for them "
                "with --bands), or train an encoder for the bands that you have",
            )
        return tuple(number for number in found if number is not None)

    @staticmethod
    def _find(name: str, scene: Scene, named: Sequence[int]) -> int | None:
        exact = [n for n in named if scene.bands[n - 1].name.lower() == name.lower()]
        same = [n for n in named if common_name(scene.bands[n - 1].name) == common_name(name)]
        return exact[0] if exact else same[0] if len(same) == 1 else None

    def check_values(self, scene: Scene) -> None:
        """Check that a scene's values can mean what those of the training images mean.

        Raises:
            ImageError: if one has 8 bits, or floating point, and the other has not.
        """
        if _kind(scene.dtype) != _kind(np.dtype(self.dtype)):
            lows, highs = zip(*self.limits, strict=True)
            raise ImageError(
                f"{scene.source}: has values of type {scene.dtype}; the encoder takes "
                f"{self.dtype}, of which {min(lows):g} to {max(highs):g} were seen in training",
                "convert them to the same units, or say which values become 0 and 255 with --scale",
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description, the inverse of :meth:`from_json`."""
        return {
            "names": list(self.names),
            "dtype": self.dtype,
            "limits": [list(pair) for pair in self.limits],
            "places": list(self.places),
            "total": self.total,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Bands:
        """The bands that :meth:`to_json` described."""
        limits = tuple((float(low), float(high)) for low, high in data["limits"])
        places = tuple(int(place) for place in data["places"])
        names = tuple(str(name) for name in data["names"])
        return cls(names, str(data["dtype"]), limits, places, int(data["total"]))


def check_choice(wanted: Sequence[str], bands: Bands | None) -> None:
    """Check how many bands a user chose for an encoder.

    Raises:
        InputError: if it takes another number of them.
    """
    if bands is None and len(wanted) not in (0, 1, 3):
        raise InputError(
            f"{len(wanted)} bands were chosen ({', '.join(wanted)}), and the encoder takes RGB",
            "choose one, or three to stand for red, green and blue",
        )
    if bands is not None and len(wanted) not in (0, len(bands)):
        raise InputError(
            f"{len(wanted)} bands were chosen ({', '.join(wanted)}); the encoder takes "
            f"{len(bands)}: {bands}",
            "choose as many, in this order, or leave out --bands to find them by name",
        )


def _count(number: int) -> str:
    return "1 band" if number == 1 else f"{number} bands"


def _kind(dtype: np.dtype[Any]) -> str:
    return "float" if dtype.kind == "f" else "8 bits" if dtype.itemsize == 1 else "whole numbers"
