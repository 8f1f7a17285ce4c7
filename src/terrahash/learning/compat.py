"""The one place that mends how torch and torchvision are installed together."""

from __future__ import annotations

from functools import cache
from typing import Any

from terrahash.errors import MissingExtraError

_library: Any = None


def require_torch() -> None:
    """Check that torch is there, before anything of this package imports it.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("training", "train", error.name or "torch") from None


@cache
def import_timm() -> Any:
    """timm, after making torchvision importable beside a torch build it was not compiled for.

    torchvision's compiled operators cannot load into another torch build, and its Python side then
    fails on operators without a schema. Declaring the two schemas is enough for everything that
    timm uses. It is done only where the import fails for this reason.

    Raises:
        MissingExtraError: if torch, torchvision or timm is not installed.
    """
    global _library
    require_torch()
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _library = torch.library.Library("torchvision", "DEF")
        _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except ImportError as error:
        raise MissingExtraError("training", "train", error.name or "torchvision") from None
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("training", "train", error.name or "timm") from None
    return timm
