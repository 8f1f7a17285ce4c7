"""The encoder folder: reading, checking, writing and using it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.encoder.encoded import Encoded
from terrahash.encoder.network import Network
from terrahash.errors import EncoderError, ImageError
from terrahash.imagery.clock import Clock
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.imagery.reading import MAX_PIXELS

FORMAT = 1
CARD = "encoder.json"
MODEL = "model.onnx"
WEIGHTS = "weights.safetensors"
SPLIT = "split.txt"

Item = TypeVar("Item")


def check_place(folder: Path) -> None:
    """Refuse a place where something else is than an encoder or an empty folder.

    Raises:
        EncoderError: naming the place.
    """
    mine = not folder.exists() or (
        folder.is_dir() and ((folder / CARD).exists() or not any(folder.iterdir()))
    )
    if not mine:
        raise EncoderError(
            f"{folder} exists and is not an encoder", "choose another folder for the encoder"
        )


class Encoder:
    """Turns images into hash codes; everything needed for it is in one folder.

    Args:
        card: the contents of ``encoder.json`` (``docs/encoder.md``).
        model: the serialized ONNX network: ``images (N, channels, size, size) float32`` to
            activations ``(N, hash_bits)`` and, where the encoder knows classes, logits ``(N, C)``.
        files: what else belongs into the folder (weights, model card, picture), by name.

    Raises:
        EncoderError: if card and model do not belong together.
    """

    def __init__(
        self, card: Mapping[str, Any], model: bytes, files: Mapping[str, bytes | Path] | None = None
    ) -> None:
        self.card = dict(card)
        self.model = model
        self.files = dict(files or {})
        try:
            self.layout = CodeLayout.from_json(self.card["layout"])
            self.preprocessing = Preprocessing.from_json(self.card["preprocessing"])
            self.classes: tuple[str, ...] = tuple(self.card["classes"])
            self.fingerprint: str = self.card["fingerprint"]
            label_codes = [[bit == "1" for bit in code] for code in self.card["label_codes"]]
        except (KeyError, TypeError, ValueError) as error:
            raise EncoderError(
                f"{CARD} lacks or garbles {error}", "train or export the encoder again"
            ) from None
        self._label_codes = np.array(label_codes, dtype=bool).reshape(
            len(label_codes), self.layout.label_bits
        )
        if self.fingerprint != fingerprint(self.card, model):
            raise EncoderError(
                f"{CARD} and {MODEL} do not belong together: what they encode is not what the "
                "fingerprint was taken of",
                "copy the whole encoder folder again, or train anew",
            )
        self._network = Network(model, self.preprocessing)

    @classmethod
    def create(
        cls, card: Mapping[str, Any], model: bytes, files: Mapping[str, bytes | Path] | None = None
    ) -> Encoder:
        """A new encoder; its format and fingerprint are written into the card."""
        card = {"format": FORMAT, **card}
        return cls({**card, "fingerprint": fingerprint(card, model)}, model, files)

    @classmethod
    def load(cls, folder: str | Path) -> Encoder:
        """Read an encoder folder.

        Raises:
            EncoderError: if it is missing, incomplete, of another format, or was altered.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise EncoderError(
                f"no encoder folder at {folder}", "train one: terrahash train DATA --out FOLDER"
            )
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            model = (folder / MODEL).read_bytes()
        except FileNotFoundError as error:
            raise EncoderError(
                f"{folder} is not a complete encoder: {Path(str(error.filename)).name} is missing",
                "copy the whole folder again",
            ) from None
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise EncoderError(
                f"{folder / CARD} is damaged: {error}", "copy the whole folder again"
            ) from None
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            found = card.get("format") if isinstance(card, dict) else None
            raise EncoderError(
                f"{folder}: encoder format {found!r} is not known (this version reads {FORMAT})",
                "use the terrahash version it was made with, or train again",
            )
        files = {
            path.name: path
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name not in (CARD, MODEL)
        }
        try:
            return cls(card, model, files)
        except EncoderError as error:
            raise EncoderError(f"{folder}: {error.message}", error.remedy) from None

    def save(self, folder: str | Path, *, weights: bool = True) -> Path:
        """Write the encoder folder as a whole: there is never half an encoder at that place.

        Args:
            folder: where to; an encoder that is there already is replaced.
            weights: also keep the weights for further training.

        Raises:
            EncoderError: if the folder exists and is not an encoder, or cannot be written.
        """
        folder = Path(folder)
        check_place(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        except OSError as error:
            raise EncoderError(
                f"cannot write to {folder.parent}: {error.strerror}", "choose a writable place"
            ) from None
        retired = scratch.with_suffix(".old")
        try:
            (scratch / MODEL).write_bytes(self.model)
            for name, content in self.files.items():
                if name == WEIGHTS and not weights:
                    continue
                data = content if isinstance(content, bytes) else content.read_bytes()
                (scratch / name).write_bytes(data)
            card = json.dumps(self.card, indent=1, ensure_ascii=False)
            (scratch / CARD).write_text(card + "\n", encoding="utf-8")
            scratch.chmod(0o755)
            if folder.exists():
                folder.replace(retired)
            scratch.replace(folder)
        except OSError as error:
            raise EncoderError(
                f"cannot write the encoder to {folder}: {error.strerror}",
                "free some space or choose another place",
            ) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.rmtree(retired, ignore_errors=True)
        return folder

    @cached_property
    def bits(self) -> int:
        """Bits of the stored code, label bits included."""
        return self.layout.bits

    def encode(self, images: NDArray[np.float32]) -> Encoded:
        """Codes of preprocessed images ``(N, channels, size, size) float32``."""
        return self._encoded(self._network.run(images))

    def read(
        self, source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS
    ) -> NDArray[np.uint8]:
        """An image file, or the bytes of one, as this encoder takes it: RGB, or its own bands
        scaled to 8 bits.

        Args:
            source: the file, or its bytes.
            max_pixels: largest width × height that is decoded.

        Raises:
            ImageError: if it cannot be read or lacks a band.
            MissingExtraError: if the encoder takes bands and the extra ``geo`` is not installed.
        """
        return self.preprocessing.read(source, max_pixels=max_pixels)

    def encode_image(self, image: NDArray[np.uint8]) -> Encoded:
        """Code of one ``(H, W, channels) uint8`` image, as :meth:`read` gives it.

        Raises:
            ImageError: if it has other bands than the encoder takes.
        """
        return self.encode(self.preprocessing(image))

    def encode_files(
        self,
        paths: Iterable[str | Path],
        *,
        workers: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Encoded:
        """Codes of image files, in order.

        Args:
            paths: the image files.
            workers: threads; by default one for each core.
            progress: called with the number of images done so far.

        Raises:
            ImageError: for the first file that cannot be read.
        """
        parts = []
        for _, outcome in self.stream(paths, workers=workers):
            if isinstance(outcome, ImageError):
                raise outcome
            parts.append(outcome)
            if progress is not None:
                progress(len(parts))
        return Encoded.concatenate(parts) if parts else self._empty()

    def stream(
        self,
        items: Iterable[Item],
        load: Callable[[Item], NDArray[np.uint8]] | None = None,
        *,
        workers: int | None = None,
        clock: Clock | None = None,
    ) -> Iterator[tuple[Item, Encoded | ImageError]]:
        """Encode many images in order, bounded in memory; errors come in place of the code.

        ``load`` is :meth:`read` unless given; see :meth:`terrahash.encoder.Network.stream`.
        """
        reader: Callable[[Any], NDArray[np.uint8]] = load or self.read
        return self._network.stream(items, reader, self._encoded, workers=workers, clock=clock)

    def _encoded(self, outputs: list[NDArray[np.float32]]) -> Encoded:
        logits = outputs[1] if len(outputs) > 1 else None
        return Encoded.from_outputs(outputs[0], logits, self.layout, self._label_codes)

    def _empty(self) -> Encoded:
        return self._encoded(
            [
                np.zeros((0, self.layout.hash_bits), np.float32),
                *([np.zeros((0, len(self.classes)), np.float32)] if self.classes else []),
            ]
        )

    def __repr__(self) -> str:
        return (
            f"<Encoder {self.card.get('method')} {self.bits} bits, "
            f"{len(self.classes)} classes, {self.fingerprint[:12]}>"
        )


def fingerprint(card: Mapping[str, Any], model: bytes) -> str:
    """Hex SHA-256 over all that changes codes: network, layout, preprocessing and label bits."""
    relevant = {
        "model": hashlib.sha256(model).hexdigest(),
        **{key: card.get(key) for key in ("layout", "preprocessing", "label_codes")},
    }
    canonical = json.dumps(relevant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
