"""From what a user names to the tiles that are to be encoded, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from terrahash.archive.inputs import CutScene, Source, Tile
from terrahash.archive.properties import columns_of
from terrahash.archive.stored import StoredSource, stored_source
from terrahash.errors import ImageError, InputError, MissingExtraError
from terrahash.imagery.ahead import ahead
from terrahash.imagery.bands import check_choice
from terrahash.imagery.clock import Clock
from terrahash.imagery.cutting import read_tiles
from terrahash.imagery.files import find_images
from terrahash.imagery.inputs import Kind, kind_of, of_size
from terrahash.imagery.layers import layered
from terrahash.imagery.rendering import Rendering
from terrahash.imagery.scene import Scene
from terrahash.imagery.sources import is_remote, path_of
from terrahash.imagery.stac import Asset, assets, is_stac
from terrahash.imagery.tiling import Tiling

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

# STAC's property of whole items, per cent (extension ``eo``).
CLOUD_COVER = "eo:cloud_cover"
# Files whose state is compared with the archive in one question.
LOOKUP_FILES = 8192


class Gatherer:
    """Finds the tiles that an archive lacks.

    Args:
        archive: that they are for.
        tiling: how scenes are cut.
        cut_all: whether all that is larger than a tile is cut.
        folder_labels: whether a file's folder is its label.
        max_cloud_cover: per cent of cloud that a STAC item may have.
        clock: counts the reading of scenes.
        skip: told of each source that is passed over, and why.

    Attributes:
        total: tiles expected so far, known better with each scene that is opened.
        unchanged: files that are in the archive as they are.
        cloudy: STAC items passed over for their clouds.
        present: what was stored of each scene that is being cut.
        abandoned: names of sources of which no more tiles are wanted.
    """

    def __init__(
        self,
        archive: Archive,
        tiling: Tiling,
        *,
        cut_all: bool,
        folder_labels: bool,
        max_cloud_cover: float | None = None,
        clock: Clock,
        skip: Callable[[str, str], None],
    ) -> None:
        self._archive = archive
        self._tiling = tiling
        self._bands = archive.encoder.preprocessing.bands
        check_choice(tiling.bands, self._bands)
        if tiling.seen and self._bands is None:
            raise InputError(
                "the encoder takes RGB, which is what people see", "choose bands with --bands"
            )
        self._asked = tiling if cut_all else None
        self._folder_labels = folder_labels
        self._max_cloud_cover = max_cloud_cover
        self._clock = clock
        self._skip = skip
        self._kinds = dict(archive.info().columns)
        self._seen: set[str] = set()
        self.total = 0
        self.unchanged = 0
        self.cloudy = 0
        self.present: dict[str, StoredSource] = {}
        self.abandoned: set[str] = set()

    def _skip_unreadable(self, path: Path, error: OSError) -> None:
        self._skip(str(path), f"cannot be read: {error.strerror or error}")

    def tiles(self, paths: Iterable[str | Path], asset: str | None) -> Iterator[Tile]:
        """Tiles of files, of addresses and of what STAC documents list, in this order.

        A scene's tiles are followed by one that marks its end.

        Args:
            paths: that the user names.
            asset: of STAC items.

        Raises:
            InputError: if a path does not exist.
        """
        given = list(paths)
        catalogues = [one for one in given if is_stac(one)]
        addresses = [str(one) for one in given if is_remote(one) and not is_stac(one)]
        local = (one for one in given if not is_remote(one))
        images = find_images(local, on_error=self._skip_unreadable)
        files = [path.absolute() for path in images if not is_stac(path)]
        self.total += len(files) + len(addresses)
        for start in range(0, len(files), LOOKUP_FILES):
            sources = []
            for path in files[start : start + LOOKUP_FILES]:
                try:
                    sources.append(
                        Source.file(path, path.parent.name if self._folder_labels else None)
                    )
                except OSError as error:
                    self._skip_unreadable(path, error)
            yield from self._local(sources)
        for address in addresses:
            yield from self._opened(Source(address))
        for catalogue in catalogues:
            mask = self._tiling.mask
            for found in assets(
                catalogue,
                asset,
                self._skip,
                self._bands,
                bands=self._tiling.bands,
                mask=None if mask is None else mask.name,
            ):
                yield from self._listed(found)

    def _listed(self, asset: Asset) -> Iterator[Tile]:
        """Tiles of what a STAC item names."""
        if self._is_cloudy(asset):
            self.cloudy += 1
            return
        mask = self._tiling.mask
        if mask is not None and asset.mask is None and not _is_raster(mask.name):
            self._skip(f"item {asset.item}", f"has no asset {mask.name!r} to be its mask")
            return
        self.total += 1
        columns = columns_of(asset.item, asset.collection, asset.properties, self._kinds)
        name, scene = asset.href, None
        if asset.layers:
            try:
                scene = layered(asset.layers)
            except (ImageError, MissingExtraError) as error:
                self._skip(f"item {asset.item}", error.message)
                return
            # The finest of them, on whose grid the others are laid.
            name = scene.source
        source = Source(name)
        if not is_remote(name):
            try:
                source = Source.file(path_of(name), layers=asset.layers)
            except OSError as error:
                self._skip_unreadable(path_of(name), error)
                return
        source = replace(
            source,
            datetime=asset.datetime,
            columns=columns,
            layers=asset.layers,
            mask=asset.mask,
        )
        if scene is not None or source.path is None:
            yield from self._opened(source, scene)
        else:
            yield from self._local([source])

    def _local(self, sources: Sequence[Source]) -> Iterator[Tile]:
        known = self._archive.source_states([source.name for source in sources])
        for source in filter(self._is_new, sources):
            try:
                kind = kind_of(path_of(source.name), source.size or 0, self._asked)
            except OSError as error:
                self._skip_unreadable(path_of(source.name), error)
                continue
            state = known.get(source.name)
            if kind is Kind.SCENE:
                yield from self._scene(source, None)
            elif state is not None and state[:2] == source.state:
                self.unchanged += 1
            else:
                yield Tile(
                    source, state is not None, kind is Kind.PLACED, self._tiling, self._bands
                )

    def _is_new(self, source: Source) -> bool:
        """Whether a source comes up for the first time in this run."""
        if source.name in self._seen:
            self.total -= 1
            return False
        self._seen.add(source.name)
        return True

    def _is_cloudy(self, asset: Asset) -> bool:
        covered = asset.properties.get(CLOUD_COVER)
        most = self._max_cloud_cover
        return most is not None and isinstance(covered, (int, float)) and covered > most

    def _opened(self, source: Source, scene: Scene | None = None) -> Iterator[Tile]:
        """Tiles of what only its header shows the size of: addresses, and scenes of layers."""
        if not self._is_new(source):
            return
        try:
            scene = scene or source.scene()
        except (ImageError, MissingExtraError) as error:
            self._skip(source.name, error.message)
            return
        kind = of_size(
            scene.width, scene.height, placed=scene.place is not None, tiling=self._asked
        )
        if kind is Kind.SCENE:
            yield from self._scene(source, scene)
            return
        state = self._archive.source_states([source.name]).get(source.name)
        if state is not None and (source.path is None or state[:2] == source.state):
            self.unchanged += 1
        else:
            yield Tile(source, state is not None, True, self._tiling, self._bands)

    def _scene(self, source: Source, scene: Scene | None) -> Iterator[Tile]:
        """The windows of a scene that are not stored yet, and a mark at its end."""
        tiling = self._tiling
        self.total -= 1
        try:
            scene = scene or source.scene()
            grid = tiling.grid(scene.width, scene.height, scene.place, source.name)
            stored = stored_source(self._archive, source.name, source.state, str(tiling))
            if stored.finished:
                self.unchanged += 1
                self.total += 1
                return
            windows = grid.windows()
            veil = source.veil(scene, tiling)
            if stored.windows:
                rendering = Rendering.recorded(
                    scene, stored.bands, stored.scaling, self._bands, veil
                )
                present = [tuple(window) in stored.windows for window in windows.tolist()]
                windows = windows[~np.array(present)]
            else:
                rendering = Rendering.of(scene, tiling.bands, tiling.scaling, self._bands, veil)
            if self._bands is not None:
                rendering.seen(tiling.seen, self._bands)
            cut = CutScene(rendering, tiling, grid)
            self.present[source.name] = stored
            self.total += len(windows)
            if len(windows):
                rows = ahead(
                    lambda: read_tiles(rendering, windows, shown=grid.shown, clock=self._clock)
                )
                known = bool(stored.outdated)
                for row in rows:
                    for raw in row:
                        yield Tile(source, known, False, tiling, self._bands, cut, raw)
                    if source.name in self.abandoned:
                        return
        except (ImageError, InputError, MissingExtraError) as error:
            self._skip(source.name, error.message)
            return
        yield Tile(source, cut=cut, tiling=tiling, ends=True)


def _is_raster(name: str) -> bool:
    return is_remote(name) or path_of(name).exists()
