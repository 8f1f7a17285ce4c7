"""From a sensor's values to the 8 bits that encoders take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import InputError

Limits = tuple[tuple[float, float], ...]

# What "percentiles" without numbers means: robust against clouds, glint and dead pixels.
LOW_PERCENTILE, HIGH_PERCENTILE = 2.0, 98.0
# Whole-number types up to this many bytes are scaled by a table.
MAX_TABLE_BYTES = 2


@dataclass(frozen=True)
class Scaling:
    """Which values become 0 and 255.

    Attributes:
        kind: ``auto``: 8 bits as they are, anything else by percentiles; ``dtype``: the whole range
            of the data's own type (0…1 for floating point); ``percentiles``: of each scene's
            sampled pixels, per band; ``range``: fixed values for all bands; ``units``: likewise,
            in the units that a band's scale and offset lead to, such as reflectance.
        low: the percentile or value that becomes 0.
        high: the percentile or value that becomes 255.

    Raises:
        InputError: if low and high are not in order, or are no percentiles.
    """

    kind: Literal["auto", "dtype", "percentiles", "range", "units"] = "auto"
    low: float = LOW_PERCENTILE
    high: float = HIGH_PERCENTILE

    def __post_init__(self) -> None:
        percent = self.kind == "percentiles"
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        if (
            not finite
            or not self.low < self.high
            or (percent and not 0 <= self.low < self.high <= 100)
        ):
            raise InputError(
                f"scaling {self} goes from {self.low:g} to {self.high:g}",
                "give the lower number first; percentiles lie between 0 and 100",
            )

    @classmethod
    def parse(cls, text: str) -> Scaling:
        """``auto``, ``dtype``, ``percentiles[:LOW:HIGH]``, ``LOW:HIGH`` or ``units:LOW:HIGH``.

        Raises:
            InputError: if it is none of these.
        """
        kind, _, rest = text.partition(":")
        try:
            if text in ("auto", "dtype", "percentiles"):
                return cls(text)  # type: ignore[arg-type]
            if kind in ("percentiles", "units"):
                low, high = map(float, rest.split(":"))
                return cls(kind, low, high)  # type: ignore[arg-type]
            low, high = map(float, text.split(":"))
        except ValueError:
            raise InputError(
                f"scaling {text!r} is not known",
                "say auto, dtype, percentiles[:LOW:HIGH], LOW:HIGH or units:LOW:HIGH",
            ) from None
        return cls("range", low, high)

    def __str__(self) -> str:
        if self.kind in ("auto", "dtype"):
            return self.kind
        numbers = f"{self.low:g}:{self.high:g}"
        return numbers if self.kind == "range" else f"{self.kind}:{numbers}"

    def limits(self, dtype: np.dtype[Any], bands: int) -> Limits | None:
        """The values of each band that become 0 and 255; None if the pixels must be asked."""
        if self.kind in ("range", "units"):
            return ((self.low, self.high),) * bands
        if self.kind == "percentiles" or (self.kind == "auto" and dtype != np.uint8):
            return None
        if dtype.kind in "ui":
            info = np.iinfo(dtype)
            return ((float(info.min), float(info.max)),) * bands
        return ((0.0, 1.0),) * bands

    def limits_of(self, samples: list[NDArray[Any]]) -> Limits:
        """Percentiles of each band's sampled valid values."""
        return tuple(_percentiles(values, self.low, self.high) for values in samples)


def _percentiles(values: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    bottom, top = (_rounded(v) for v in np.percentile(values.astype(np.float64), (low, high)))
    return (bottom, top) if bottom < top else (bottom, bottom + max(1.0, abs(bottom) * 1e-6))


def _rounded(value: float) -> float:
    # What is applied is what is recorded, digit by digit.
    return float(f"{value:.6g}")


def limits_text(limits: Limits) -> str:
    """Limits as they are recorded: ``LOW:HIGH`` of each band, joined by commas."""
    return ",".join(f"{low:.17g}:{high:.17g}" for low, high in limits)


def parse_limits(text: str) -> Limits:
    """The inverse of :func:`limits_text`.

    Raises:
        InputError: if it is no such text.
    """
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return tuple((float(low), float(high)) for low, high in pairs)
    except ValueError:
        raise InputError(f"{text!r} are no limits of bands", "write LOW:HIGH,LOW:HIGH…") from None


class ToBytes:
    """Scales ``(bands, H, W)`` of one type to 8 bits; made once a scene, used by many threads.

    Args:
        dtype: of the pixels.
        limits: per band, the values that become 0 and 255; between them linear, rounded.
    """

    def __init__(self, dtype: np.dtype[Any], limits: Limits) -> None:
        self._limits = limits
        self._plain = dtype == np.uint8 and all(pair == (0.0, 255.0) for pair in limits)
        self._tables: list[NDArray[np.uint8]] | None = None
        if dtype.kind in "ui" and dtype.itemsize <= MAX_TABLE_BYTES and not self._plain:
            info = np.iinfo(dtype)
            every = np.arange(info.min, info.max + 1, dtype=np.float64)
            # The table is turned to begin at zero, negative values last.
            tables = [np.roll(_linear(every, *pair), info.min) for pair in limits]
            self._tables = tables

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """``(bands, H, W)`` to ``(H, W, bands) uint8``; values that are no number become 0.

        In memory each band stays together: that is the order in which a network takes them.
        """
        out = np.empty(pixels.shape, np.uint8)
        for band, values in enumerate(pixels):
            if self._plain:
                out[band] = values
            elif self._tables is not None:
                # Read as unsigned, negative values follow the positive ones, as the table has them.
                # Every index is within the table; of NumPy's modes, wrapping is the quickest then.
                indices = values.view(f"u{values.itemsize}")
                np.take(self._tables[band], indices, mode="wrap", out=out[band])
            else:
                out[band] = _linear(values.astype(np.float64), *self._limits[band])
        return out.transpose(1, 2, 0)


def _linear(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (values - low) * (255.0 / (high - low))
    np.nan_to_num(scaled, copy=False, nan=0.0)
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)
