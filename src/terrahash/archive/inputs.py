"""From what a user names to the tiles that are to be encoded, one after the other."""

from __future__ import annotations

import errno
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import ImageError, MissingExtraError
from terrahash.imagery.bands import Bands
from terrahash.imagery.cutting import BlankError, RawTile, check_hidden
from terrahash.imagery.inputs import RASTERS, Kind, kind_of
from terrahash.imagery.layers import Layer, layered, sources_of
from terrahash.imagery.raster import read_raster
from terrahash.imagery.reading import MAX_PIXELS, UnknownFormatError, read_image
from terrahash.imagery.rendering import Rendering
from terrahash.imagery.scene import Scene
from terrahash.imagery.sources import is_remote, path_of, source_of
from terrahash.imagery.temporary import as_file
from terrahash.imagery.tiling import Grid, Tiling
from terrahash.imagery.veils import Veil


@dataclass(frozen=True)
class Source:
    """A file or an address.

    Attributes:
        name: as records name it.
        path: of a file; None for an address.
        size: bytes, where known; of all files that make it.
        mtime: nanoseconds since 1970, where known; the latest.
        datetime: when it was taken, where something other than the file says.
        label: true class, where known.
        columns: further values for its tiles.
        layers: its bands, where a catalogue says more of them or they lie in several files.
        mask: file or address of what hides its ground, where a catalogue names one.
    """

    name: str
    path: Path | None = None
    size: int | None = None
    mtime: int | None = None
    datetime: str | None = None
    label: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    mask: str | None = None

    @classmethod
    def file(
        cls, path: Path, label: str | None = None, *, layers: tuple[Layer, ...] = ()
    ) -> Source:
        """A file as it is now, with the others that its layers are in.

        Raises:
            OSError: if it is not there, or is a pipe or a device: opening one may wait forever.
        """
        size, mtime = _state(path, layers)
        return cls(source_of(path), path, size, mtime, label=label, layers=layers)

    @property
    def state(self) -> tuple[int | None, int | None]:
        """Size and mtime, by which a change is noticed."""
        return self.size, self.mtime

    def has_changed(self) -> bool:
        """Whether the file is another than when it was looked at first."""
        if self.path is None:
            return False
        try:
            return _state(self.path, self.layers) != self.state
        except OSError:
            return True

    def scene(self) -> Scene:
        """Its header.

        Raises:
            ImageError: if it cannot be opened, or its layers do not fit each other.
            MissingExtraError: if the extra ``geo`` is not installed.
        """
        return layered(self.layers) if self.layers else Scene.open(self.name)

    def veil(self, scene: Scene, tiling: Tiling) -> Veil | None:
        """What hides its ground, where the tiling asks for it.

        Raises:
            ImageError: if the mask cannot be opened, or does not cover the scene.
        """
        if tiling.mask is None:
            return None
        return Veil.over(scene, self.mask or tiling.mask.name, tiling.mask)


def _state(path: Path, layers: Sequence[Layer]) -> tuple[int, int]:
    """Size and time of change of a file, with those of the other files of its layers."""
    others = {path_of(layer.source) for layer in layers if not is_remote(layer.source)}
    found = [one.stat() for one in {path, *others}]
    if not all(stat.S_ISREG(status.st_mode) for status in found):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)


def has_changed(source: str, bands: str | None, state: tuple[int | None, int | None]) -> bool:
    """Whether a file that a record names, or another of its scene, is no longer what was read.

    Args:
        source: of the record.
        bands: of the record.
        state: size and mtime that it holds; of an address nothing is known.

    Raises:
        OSError: if a file is not there.
    """
    if is_remote(source) or None in state:
        return False
    others = tuple(Layer(one) for one in sources_of(source, bands)[1:])
    size, mtime = _state(path_of(source), others)
    # A scene may have been made of further files, whose sizes are in the record's too.
    return (size, mtime) != state if not others else mtime > (state[1] or 0)


@dataclass(frozen=True)
class CutScene:
    """A scene and how it is cut: what all its tiles share."""

    rendering: Rendering
    tiling: Tiling
    grid: Grid

    @property
    def scene(self) -> Scene:
        """Its header."""
        return self.rendering.scene


@dataclass
class Tile:
    """One tile on its way into an archive.

    Attributes:
        source: where it comes from.
        known: whether a tile of it is in the archive.
        placed: whether it is a georeferenced file that is one tile.
        tiling: how scenes are cut and bands scaled.
        bands: what the encoder takes; None for RGB.
        cut: of a scene's tile.
        raw: of a scene's tile, what was read.
        ends: marks the end of a scene; there is no tile then.
        rendering: of a file that is one tile, known once it was loaded.
        hidden: share of it that a mask hides, known once it was loaded.
        thumbnail: WebP file that the archive is to keep of it.
    """

    source: Source
    known: bool = False
    placed: bool = False
    tiling: Tiling = field(default_factory=Tiling)
    bands: Bands | None = None
    cut: CutScene | None = None
    raw: RawTile | None = None
    ends: bool = False
    rendering: Rendering | None = None
    hidden: float | None = None
    thumbnail: bytes | None = None

    def load(self, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
        """``(H, W, C) uint8``; called on a worker thread.

        Args:
            max_pixels: largest width × height of a file that is one tile.

        Raises:
            ImageError: if it cannot be read or is not worth a code.
        """
        if self.ends:
            raise BlankError("", "")
        if self.cut is not None and self.raw is not None:
            image = self.raw.image(self.cut.rendering, self.cut.grid.shown, self.tiling.min_valid)
            self.hidden = self.raw.hidden
            self.raw = RawTile(self.raw.window, (), ())
            return image
        if self.placed or self.bands is not None or self.tiling.mask or self.source.layers:
            return self._placed(max_pixels)
        if self.source.path is None:
            raise ImageError(f"{self.source.name}: is no file", "name a file")
        try:
            return read_image(self.source.path, max_pixels=max_pixels)
        except UnknownFormatError as error:
            if self.source.path.suffix.lower() not in (".tif", ".tiff"):
                raise
            # Many bands, or types that Pillow does not know.
            try:
                return self._placed(max_pixels)
            except MissingExtraError as missing:
                raise ImageError(error.message, missing.remedy) from None

    def _placed(self, max_pixels: int) -> NDArray[np.uint8]:
        read = read_raster(
            self.source.scene(),
            bands=self.tiling.bands,
            scaling=self.tiling.scaling,
            expected=self.bands,
            veiled=lambda scene: self.source.veil(scene, self.tiling),
            max_pixels=max_pixels,
        )
        self.rendering, self.hidden = read.rendering, read.hidden
        # What cannot be shown as asked for is refused before it is encoded.
        _ = self.seen
        check_hidden(read.hidden, read.rendering, self.source.name)
        if read.valid < self.tiling.min_valid or read.valid == 0:
            raise BlankError(f"{self.source.name}: {read.valid:.0%} of its pixels are valid", "")
        return read.image

    @property
    def window(self) -> tuple[int, int, int, int] | None:
        """The part of its source that it shows; None for all of it."""
        return None if self.raw is None else self.raw.window

    @property
    def shown(self) -> Rendering | None:
        """How its pixels became an image; None for a picture."""
        return self.cut.rendering if self.cut is not None else self.rendering

    @property
    def seen(self) -> tuple[int, ...]:
        """Numbers of the bands in which people see it; empty for RGB.

        Raises:
            ImageError: if bands are wanted that the encoder does not take.
        """
        if self.bands is None or self.shown is None:
            return ()
        return self.shown.seen(self.tiling.seen, self.bands)

    @property
    def whole(self) -> tuple[int, int, int, int] | None:
        """Its window in pixels even where it is all of a georeferenced file."""
        if self.rendering is not None:
            return 0, 0, self.rendering.scene.width, self.rendering.scene.height
        return self.window


def query_image(
    source: str | Path | bytes, bands: Bands | None = None, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """An image as it would be indexed as one tile; see :func:`query_rendered`."""
    return query_rendered(source, bands, max_pixels=max_pixels)[0]


def query_rendered(
    source: str | Path | bytes, bands: Bands | None = None, *, max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], Rendering | None]:
    """An image as it would be indexed as one tile, and how its bands and values became that.

    Args:
        source: a file, or the bytes of one.
        bands: what the encoder takes; None for RGB.
        max_pixels: largest width × height that is decoded; checked in the header beforehand.

    Returns:
        ``(H, W, C) uint8``; None where it was read as a picture.

    Raises:
        ImageError: if it cannot be read, is too large, or lacks a band.
    """
    if not isinstance(source, bytes):
        return _of_file(Path(source), bands, max_pixels)
    raster = source.startswith(RASTERS)
    if bands is None and not raster:
        return read_image(source, max_pixels=max_pixels), None
    with as_file(source, ".tif" if raster else "") as path:
        return _of_file(path, bands, max_pixels)


def _of_file(
    path: Path, bands: Bands | None, max_pixels: int
) -> tuple[NDArray[np.uint8], Rendering | None]:
    try:
        source = Source.file(path.absolute())
        placed = kind_of(path, source.size or 0, None) is not Kind.PICTURE
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}", "check the path") from None
    tile = Tile(source, placed=placed, tiling=Tiling(min_valid=0.0), bands=bands)
    return tile.load(max_pixels), tile.rendering
