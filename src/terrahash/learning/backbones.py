"""Backbones: a timm network without its classifier, and where its weights come from."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from terrahash.errors import TrainingError
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.learning.bands import BandStatistics
from terrahash.learning.compat import import_timm
from terrahash.learning.stem import with_bands

DEFAULT_BACKBONE = "mobilenetv2_100"
DEFAULT_SIZE = 256


@dataclass(frozen=True)
class Backbone:
    """A network from images ``(N, C, H, W)`` to pooled features ``(N, features)``.

    Attributes:
        module: the network, in evaluation mode.
        features: length of the pooled feature vector.
        preprocessing: what its input needs.
        identity: hex digest over architecture and weights; names caches of its features.
        weights: where the weights came from, for the model card.
        pretrained: whether they mean anything.
    """

    name: str
    module: nn.Module
    features: int
    preprocessing: Preprocessing
    identity: str
    weights: str
    pretrained: bool


def find_weights(name: str) -> Path | None:
    """A weights file for a backbone in ``$TERRAHASH_WEIGHTS``, if there is one."""
    folder = os.environ.get("TERRAHASH_WEIGHTS")
    if not folder or not Path(folder).is_dir():
        return None
    return next(iter(sorted(Path(folder).glob(f"{name}.*safetensors"))), None)


def load_backbone(
    name: str = DEFAULT_BACKBONE,
    weights: str | Path | None = None,
    *,
    size: int = DEFAULT_SIZE,
    statistics: BandStatistics | None = None,
) -> Backbone:
    """Make a backbone and give it weights.

    Args:
        name: of a timm architecture.
        weights: a ``.safetensors`` file in timm's names, ``"timm"`` for the pretrained weights of
            timm's hub, ``"none"`` for random ones. By default a file for this backbone in
            ``$TERRAHASH_WEIGHTS``, else timm's.
        size: side of the input in pixels.
        statistics: of the bands that the input has; None for RGB.

    Raises:
        TrainingError: for an unknown architecture, a weights file that does not fit, or a hub that
            cannot be reached.
    """
    timm = import_timm()
    if not timm.is_model(name):
        close = (
            ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:6]) or "see timm.list_models()"
        )
        raise TrainingError(f"unknown backbone '{name}'", f"known ones: {close}")
    weights = weights or find_weights(name) or "timm"
    if weights == "timm":
        module, config = _from_hub(timm, name)
        mean = tuple(255.0 * value for value in config["mean"])
        std = tuple(255.0 * value for value in config["std"])
        preprocessing = Preprocessing(size, mean, std)
        source = f"timm hub: {name}.{config.get('tag') or 'default'}"
    else:
        module = _make(timm, name)
        preprocessing = Preprocessing(size)
        source = "none (random)"
        if weights != "none":
            _load_file(module, Path(weights), name)
            source = Path(weights).name
    if statistics is not None:
        bands = statistics.bands.names
        module = (
            _make(timm, name, in_chans=len(bands))
            if weights == "none"
            else with_bands(timm, name, module, bands)
        )
        preprocessing = statistics.preprocessing(preprocessing)
    module.eval()
    return Backbone(
        name=name,
        module=module,
        features=_features(module, preprocessing),
        preprocessing=preprocessing,
        identity=_identity(name, module),
        weights=source,
        pretrained=weights != "none",
    )


def _make(timm: Any, name: str, **options: Any) -> nn.Module:
    """The architecture without classifier, with TensorFlow's padding where it has that option."""
    torch.manual_seed(0)
    try:
        module: nn.Module = timm.create_model(name, num_classes=0, pad_type="same", **options)
    except TypeError:
        module = timm.create_model(name, num_classes=0, **options)
    return module


def _from_hub(timm: Any, name: str) -> tuple[nn.Module, dict[str, Any]]:
    try:
        module: Any = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # the hub's client raises many unrelated kinds
        raise TrainingError(
            f"pretrained weights for '{name}' cannot be fetched ({type(error).__name__})",
            "connect to the network once, give a file with --weights FILE (or put it into "
            "$TERRAHASH_WEIGHTS), or start from nothing with --weights none",
        ) from None
    return module, dict(module.pretrained_cfg)


def _load_file(module: nn.Module, path: Path, name: str) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise TrainingError(f"no weights file at {path}", "check the path given to --weights")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise TrainingError(
            f"{path} is not a sound safetensors file ({error})",
            "give weights in safetensors format; pickled checkpoints are not read",
        ) from None
    expected = module.state_dict()
    state = {
        key: value for key, value in state.items() if not key.startswith(("classifier.", "fc."))
    }
    missing = [key for key in expected if key not in state and "num_batches_tracked" not in key]
    extra = [key for key in state if key not in expected]
    misshaped = [
        key for key in state if key in expected and state[key].shape != expected[key].shape
    ]
    if missing or extra or misshaped:
        example = (misshaped or missing or extra)[0]
        raise TrainingError(
            f"{path.name} holds weights of another architecture than {name}: {len(missing)} "
            f"tensors are missing, {len(extra)} unknown, {len(misshaped)} of another shape "
            f"(for example {example})",
            "name the architecture that the weights belong to with --backbone",
        )
    module.load_state_dict(state, strict=False)


def _features(module: nn.Module, preprocessing: Preprocessing) -> int:
    size = preprocessing.size
    with torch.no_grad():
        return int(module(torch.zeros(1, preprocessing.channels, size, size)).shape[1])


def _identity(name: str, module: nn.Module) -> str:
    digest = hashlib.sha256(f"{name}\n{module}".encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(key.encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()
