"""What is known of a scene before its pixels are read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np

from terrahash.errors import ImageError
from terrahash.imagery.gdal import opened
from terrahash.imagery.georeference import Georeference
from terrahash.imagery.reading import MAX_PIXELS
from terrahash.imagery.scaling import Limits
from terrahash.imagery.sources import is_remote, path_of

# 2**36 pixels are 262,144 a side: larger than any single scene that is handed out.
MAX_SCENE_PIXELS = 1 << 36
MAX_BANDS = 4096
# A block is decoded as a whole: this bounds what one read can take.
MAX_BLOCK_BYTES = 256 << 20
# No codec packs real pixels like this; a small file that claims to hold so much is a bomb. Below
# the second number nobody need care.
MAX_UNPACKING = 2000
HARMLESS_BYTES = 1 << 30

# Drivers that decode all of a picture at the first read.
_WHOLE = ("WEBP",)

# Names of the bands that show the world as eyes see it, by sensor convention, lower case.
_RGB_NAMES = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("b04", "b03", "b02"),
    ("b4", "b3", "b2"),
    ("sr_b4", "sr_b3", "sr_b2"),
)
# Left as they are in the name of a file that a record holds; commas part such names.
_UNQUOTED = "/:?&=+~@"
# Where acquisition times are written, best first; TIFF's own tag often means the file's making.
_TIME_TAGS = (
    "acquisitiondatetime", "acquisition_datetime", "acquisition_time", "acquisition_date",
    "acquisitiondate", "datetime_original", "exif_datetimeoriginal", "sensing_time",
    "date_acquired", "product_start_time", "datetime", "tifftag_datetime",
)  # fmt: skip
_TIME = re.compile(
    r"(\d{4})[-:/]?(\d\d)[-:/]?(\d\d)(?:[T ](\d\d):?(\d\d):?(\d\d)(?:\.(\d{1,6}))?\d*)?"
    r"\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)


@dataclass(frozen=True)
class Origin:
    """Where a band's pixels are, if not in the scene's own file.

    Attributes:
        source: path or address.
        number: of the band there.
        across: factor and shift that turn a column of the scene into one there, counted from the
            outer edge of the first.
        down: likewise of rows.
        overviews: ascending factors of the smaller copies there.
    """

    source: str
    number: int
    across: tuple[float, float]
    down: tuple[float, float]
    overviews: tuple[int, ...] = ()


@dataclass(frozen=True)
class Band:
    """A band of a scene.

    Attributes:
        name: as the file describes it, or what it shows (``red``…); empty if it says nothing.
        shows: GDAL's colour interpretation.
        scale: of its values: ``stored · scale + offset`` is what they mean.
        offset: likewise.
        number: in its file.
        origin: of a band of another file.
    """

    name: str
    shows: str
    scale: float = 1.0
    offset: float = 0.0
    number: int = 0
    origin: Origin | None = None


@dataclass(frozen=True)
class Scene:
    """The header of a raster.

    Attributes:
        source: path or address.
        width, height: pixels.
        bands: in the file's order.
        dtype: of the pixels.
        block: height and width of the file's blocks.
        place: where it lies, or None where it does not say, or says it unusably.
        overviews: ascending factors of the smaller copies that the file holds.
        nodata: value of pixels that hold nothing.
        mask: how the file marks pixels that hold nothing: ``""``, ``nodata``, ``alpha``, ``mask``.
        palette: colours of a palette image, 256 rows of red, green and blue.
        datetime: when it was taken, ISO 8601, where its tags say.
    """

    source: str
    width: int
    height: int
    bands: tuple[Band, ...]
    dtype: np.dtype[Any]
    block: tuple[int, int]
    place: Georeference | None = None
    overviews: tuple[int, ...] = ()
    nodata: float | None = None
    mask: str = ""
    palette: tuple[tuple[int, int, int], ...] | None = None
    datetime: str | None = None

    @classmethod
    def open(cls, source: str) -> Scene:
        """Read the header of a raster.

        Raises:
            ImageError: if it is no raster in a known format, is damaged, or is too large.
            MissingExtraError: if rasterio is not installed.
        """
        with opened(source) as dataset:
            return _described(source, dataset)

    def choose(self, wanted: Sequence[str]) -> tuple[int, ...]:
        """Numbers (from 1) of the chosen bands, or of those that show red, green and blue.

        Raises:
            ImageError: if there is no such band; the message lists those that there are.
        """
        if not wanted:
            return self._natural()
        names = {band.name.lower(): n for n, band in enumerate(self.bands, start=1) if band.name}
        out = []
        for text in wanted:
            number = int(text) if text.isdecimal() else names.get(text.lower(), 0)
            if not 1 <= number <= len(self.bands):
                known = ", ".join(band.name for band in self.bands if band.name)
                raise ImageError(
                    f"{self.source}: has no band {text!r} (it has {len(self.bands)}"
                    + (f": {known})" if known else ")"),
                    "choose bands by number from 1, or by name",
                )
            out.append(number)
        return tuple(out)

    def band_text(self, number: int) -> str:
        """A band as records name it: its number in the scene's file, or ``NUMBER@SOURCE``."""
        band = self.bands[number - 1]
        if band.origin is None:
            return str(band.number or number)
        return f"{band.origin.number}@{quote(band.origin.source, safe=_UNQUOTED)}"

    def stored_limits(self, numbers: Sequence[int], limits: Limits, *, units: bool) -> Limits:
        """Values as they are stored that stand for these.

        Bands whose offsets differ, such as those of Sentinel-2 before and after processing baseline
        04.00, are brought together: without units, limits are stored values less the offset, in
        steps of the scale.

        Args:
            numbers: of the bands.
            limits: of each band.
            units: whether they are in the units that scale and offset lead to.

        Raises:
            ImageError: if they are, and a band says nothing of its units.
        """
        out = []
        for number, pair in zip(numbers, limits, strict=True):
            band = self.bands[number - 1]
            if units and (band.scale, band.offset) == (1.0, 0.0):
                raise ImageError(
                    f"{self.source}: band {band.name or number} has no scale and offset, so its "
                    "units are not known",
                    "give stored values: --scale LOW:HIGH",
                )
            step = band.scale if units else 1.0
            low, high = ((value / step - band.offset / band.scale) for value in pair)
            out.append((low, high))
        return tuple(out)

    def _natural(self) -> tuple[int, ...]:
        named = self._named_colours()
        if named is not None:
            return named
        showing = self._showing()
        return tuple(showing[:3]) if len(showing) >= 3 else (showing[0],)

    def _named_colours(self) -> tuple[int, ...] | None:
        """Numbers of the bands that the file itself calls red, green and blue."""
        colours = [band.shows for band in self.bands]
        if {"red", "green", "blue"} <= set(colours):
            return tuple(colours.index(colour) + 1 for colour in ("red", "green", "blue"))
        names = [band.name.lower().split(" ")[0] for band in self.bands]
        for triple in _RGB_NAMES:
            if set(triple) <= set(names):
                return tuple(names.index(name) + 1 for name in triple)
        return None

    def _showing(self) -> list[int]:
        return [n for n, band in enumerate(self.bands, start=1) if band.shows != "alpha"]

    @property
    def guessed(self) -> bool:
        """Whether nothing but their order says which of many bands are red, green and blue."""
        showing = self._showing()
        return len(showing) > 3 and self._named_colours() is None


def _described(source: str, dataset: Any) -> Scene:
    width, height, count = dataset.width, dataset.height, dataset.count
    _check(source, dataset)
    dtype = np.dtype(dataset.dtypes[0])
    if any(np.dtype(other) != dtype for other in dataset.dtypes) or dtype.kind not in "uif":
        raise ImageError(
            f"{source}: pixels of type {', '.join(sorted(set(map(str, dataset.dtypes))))}",
            "convert all bands to one whole-number or floating-point type",
        )
    shows = [colour.name for colour in dataset.colorinterp]
    scaled = [
        pair if _usable(*pair) else (1.0, 0.0)
        for pair in zip(dataset.scales, dataset.offsets, strict=True)
    ]
    bands = tuple(
        Band(
            name or (colour if colour in ("red", "green", "blue") else ""), colour, scale, offset, n
        )
        for n, (name, colour, (scale, offset)) in enumerate(
            zip(dataset.descriptions, shows, scaled, strict=True), start=1
        )
    )
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    mask = "nodata" if dataset.nodata is not None else ""
    if "alpha" in shows or "alpha" in flags:
        mask = "alpha"
    elif "per_dataset" in flags and "all_valid" not in flags:
        mask = "mask"
    return Scene(
        source=source,
        width=width,
        height=height,
        bands=bands,
        dtype=dtype,
        block=tuple(dataset.block_shapes[0]),
        place=_place(dataset),
        overviews=tuple(dataset.overviews(1)),
        nodata=None if dataset.nodata is None else float(dataset.nodata),
        mask=mask if mask != "alpha" or "alpha" in shows else "",
        palette=_palette(dataset, shows) if count == 1 and dtype == np.uint8 else None,
        datetime=_taken(dataset),
    )


def _usable(scale: float, offset: float) -> bool:
    return scale != 0 and math.isfinite(scale) and math.isfinite(offset / scale)


def _check(source: str, dataset: Any) -> None:
    width, height, count = dataset.width, dataset.height, dataset.count
    size = f"{width} × {height} pixels in {count} bands"
    if count < 1 or width < 1 or height < 1:
        raise ImageError(f"{source}: holds no pixels ({size})", "leave it out")
    if dataset.driver in _WHOLE and width * height > MAX_PIXELS:
        raise ImageError(
            f"{source}: {size} in a format that is decoded as a whole",
            "convert it to a cloud-optimized GeoTIFF",
        )
    if width * height > MAX_SCENE_PIXELS or count > MAX_BANDS:
        raise ImageError(
            f"{source}: {size}, more than the limit of {MAX_SCENE_PIXELS} pixels and "
            f"{MAX_BANDS} bands",
            "divide it first",
        )
    sample = max(np.dtype(kind).itemsize for kind in dataset.dtypes)
    rows, columns = dataset.block_shapes[0]
    together = count if dataset.profile.get("interleave") == "pixel" else 1
    block = rows * columns * sample * together
    if block > MAX_BLOCK_BYTES:
        raise ImageError(
            f"{source}: its blocks of {columns} × {rows} pixels take {block >> 20} MiB each",
            "rewrite it with blocks, for example as a cloud-optimized GeoTIFF",
        )
    whole = width * height * count * sample
    if not is_remote(source) and whole > HARMLESS_BYTES:
        stored = path_of(source).stat().st_size
        if whole > stored * MAX_UNPACKING:
            raise ImageError(
                f"{source}: claims {size} in a file of {stored} bytes",
                "leave it out, or check where it comes from",
            )


def _place(dataset: Any) -> Georeference | None:
    if dataset.crs is None or dataset.transform.is_identity:
        return None
    place = Georeference(dataset.crs.to_wkt(), tuple(dataset.transform)[:6])
    return place if place.usable else None


def _palette(dataset: Any, shows: list[str]) -> tuple[tuple[int, int, int], ...] | None:
    if shows != ["palette"]:
        return None
    colours: Mapping[int, tuple[int, ...]] = dataset.colormap(1)
    table = [colours.get(value, (0, 0, 0)) for value in range(256)]
    return tuple((red, green, blue) for red, green, blue, *_ in table)


def _taken(dataset: Any) -> str | None:
    found: dict[str, str] = {}
    for domain in ("EXIF", "IMAGERY", None):
        for key, value in dataset.tags(ns=domain).items():
            found[key.lower()] = value
    for key in _TIME_TAGS:
        if key in found and (moment := parse_time(found[key])):
            return moment
    return None


def parse_time(text: str) -> str | None:
    """ISO 8601 (UTC) of a date or time as metadata writes it, or None; no zone means UTC."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups(default="")
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}"
    zone = "+00:00" if zone in ("", "Z", "UTC") else zone
    try:
        moment = datetime.fromisoformat(
            f"{year}-{month}-{day}T{clock}.{(fraction or '0').ljust(6, '0')}{zone}"
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if moment.year < 1900 or not math.isfinite(moment.timestamp()):
        return None
    return moment.isoformat().replace("+00:00", "Z")
