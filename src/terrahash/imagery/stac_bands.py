"""Which assets of a STAC item are indexed, and what it says of their bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrahash.errors import ImageError
from terrahash.imagery.bands import COLOURS, Bands, common_name
from terrahash.imagery.layers import Layer

# Assets that show the world as eyes see it, by the names and roles that catalogues use, best first.
_KEYS = ("visual", "image", "rendered_preview", "data")
_ROLES = ("visual", "data")
_RASTERS = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/png", "image/jpeg")
# Properties by which catalogues say that the offset they give is taken out of the pixels already.
_WITHOUT_OFFSET = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")

Target = Callable[[Any], str]


def chosen_layers(
    item: Any, name: str | None, expected: Bands | None, wanted: Sequence[str], target: Target
) -> list[Layer]:
    """The bands of an item that are to be indexed, at least one.

    Args:
        item: a ``pystac.Item``.
        name: of the asset, or of several with a comma between; None to find them.
        expected: what the encoder takes; None for RGB.
        wanted: bands that the user chose; numbers do not choose assets.
        target: the address or file of an asset.

    Raises:
        ImageError: if it is not clear which, or an asset is not there.
    """
    if name is not None:
        return _named(item, name, target)
    rasters = {key: asset for key, asset in item.assets.items() if _is_raster(asset)}
    named = [band for band in wanted if not band.isdecimal()]
    bands = named if wanted else list(expected.names) if expected is not None else []
    if bands and not all(map(str.isdecimal, bands)):
        together = [key for key, asset in rasters.items() if _shows_all(asset, bands)]
        if len(together) == 1:
            return _layers(item, together[0], target)
        apart = _apart(item, rasters, bands, target)
        if apart:
            return apart
        if expected is not None and len(rasters) != 1:
            raise ImageError(
                f"say with --asset which assets hold {', '.join(bands)} (it has {_known(item)})",
                "",
            )
    for key in _KEYS:
        if key in rasters:
            return _layers(item, key, target)
    for role in _ROLES:
        having = [key for key, asset in rasters.items() if role in (asset.roles or ())]
        if len(having) == 1:
            return _layers(item, having[0], target)
    if len(rasters) == 1:
        return _layers(item, next(iter(rasters)), target)
    colours = [] if bands else _apart(item, rasters, COLOURS, target)
    if colours:
        return colours
    raise ImageError(f"say which asset with --asset (it has {_known(item)})", "")


def _known(item: Any) -> str:
    return ", ".join(item.assets) or "none"


def _is_raster(asset: Any) -> bool:
    kind = (asset.media_type or "").split(";")[0].strip().lower()
    return kind in _RASTERS or (not kind and "thumbnail" not in (asset.roles or ()))


def _named(item: Any, names: str, target: Target) -> list[Layer]:
    """Layers of the assets that a user names."""
    # A name may hold a comma itself.
    keys = [names] if names in item.assets else [key.strip() for key in names.split(",")]
    for key in keys:
        if key not in item.assets:
            raise ImageError(f"has no asset {key!r} (it has {_known(item)})", "")
    found = [_layers(item, key, target) for key in dict.fromkeys(keys)]
    return [layer for layers in found for layer in layers]


def _apart(
    item: Any, rasters: Mapping[str, Any], bands: Sequence[str], target: Target
) -> list[Layer]:
    """The bands wanted, each of the one asset that shows it; empty if they are not so clear."""
    out = []
    for band in bands:
        shows = common_name(band)
        having = []
        for key, asset in rasters.items():
            listed = _listed(asset)
            layers = _layers(item, key, target)
            for layer, names in zip(layers, _names(listed, key, len(layers)), strict=True):
                if band.lower() in names:
                    having.append((0, len(listed), key, layer))
                elif shows in map(common_name, names):
                    having.append((1, len(listed), key, layer))
        # By its own name rather than by what it shows, and of a file of its own rather than one of
        # several bands, such as a picture.
        best = sorted(having, key=lambda one: one[:2])
        if not best or (len(best) > 1 and best[0][:2] == best[1][:2]):
            return []
        layer = best[0][3]
        out.append(Layer(layer.source, layer.number, band, layer.scale, layer.offset, layer.nodata))
    return out


def _layers(item: Any, key: str, target: Target) -> list[Layer]:
    """What an item says of the bands of an asset."""
    asset = item.assets[key]
    source, listed = target(asset), _listed(asset)
    raster = asset.extra_fields.get("raster:bands")
    values = raster if isinstance(raster, list) else []
    applied = any(item.properties.get(told) is True for told in _WITHOUT_OFFSET)
    out = []
    for place in range(max(1, len(listed), len(values))):
        own = listed[place] if place < len(listed) else {}
        says = values[place] if place < len(values) and isinstance(values[place], dict) else {}
        names = [own.get("name"), key if max(len(listed), len(values)) <= 1 else None]
        name = next((text for text in names if isinstance(text, str)), "")
        scale, offset = (
            _number(
                says.get(word), own.get(f"raster:{word}"), asset.extra_fields.get(f"raster:{word}")
            )
            for word in ("scale", "offset")
        )
        nodata = _number(says.get("nodata"), own.get("nodata"), asset.extra_fields.get("nodata"))
        if scale == 0:
            scale = offset = None
        out.append(
            Layer(source, place + 1, name, scale, 0.0 if applied and offset else offset, nodata)
        )
    return out


def _listed(asset: Any) -> list[dict[str, Any]]:
    """The bands that an asset lists (extension ``eo``, STAC 1.1)."""
    listed = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or []
    if not isinstance(listed, list):
        return []
    return [band if isinstance(band, dict) else {} for band in listed]


def _names(listed: Sequence[Mapping[str, Any]], key: str, count: int) -> list[set[str]]:
    """Lower-case names of each of an asset's bands; its own name too where it has only one."""
    each = [
        {
            band[word].lower()
            for word in ("name", "common_name", "eo:common_name")
            if isinstance(band.get(word), str)
        }
        for band in listed
    ]
    each += [set() for _ in range(count - len(each))]
    if count == 1:
        each[0].add(key.lower())
    return each


def _shows_all(asset: Any, bands: Sequence[str]) -> bool:
    listed = _listed(asset)
    told = {common_name(name) for names in _names(listed, "", len(listed)) for name in names}
    return {common_name(band) for band in bands} <= told


def _number(*values: Any) -> float | None:
    """The first that is a finite number."""
    for value in values:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None
