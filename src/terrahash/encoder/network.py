"""An ONNX network run over images at the speed of the processor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import EncoderError, ImageError
from terrahash.imagery.clock import Clock
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.imagery.reading import read_image
from terrahash.machine import available_cores

Item = TypeVar("Item")
Outputs = list[NDArray[np.float32]]

# Images waiting for or in inference, per worker: enough that no worker idles while its results
# are being stored; an image is loaded only when its turn comes.
IN_FLIGHT_PER_WORKER = 16

LOADING, INFERRING = "decoding", "inferring"


class Network:
    """A serialized ONNX model with the preprocessing that its input needs.

    Each image is a task of its own on a single-threaded session: small networks run fastest with
    their activations in one core's cache (measured: batch 1 is 1.4 to 2 times as fast per image as
    batch 32), and decoding and inference overlap with no queue between them.
    """

    def __init__(self, model: bytes, preprocessing: Preprocessing) -> None:
        self.model = model
        self.preprocessing = preprocessing

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(
                self.model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no base class
            raise EncoderError(
                f"the network cannot be loaded: {error}", "train or export the encoder again"
            ) from None

    def run(self, images: NDArray[np.float32]) -> Outputs:
        """Outputs for preprocessed images ``(N, 3, size, size) float32``."""
        outputs: Outputs = self._session.run(None, {"images": images})
        return outputs

    def stream(
        self,
        items: Iterable[Item],
        load: Callable[[Item], NDArray[np.uint8]] = read_image,  # type: ignore[assignment]
        *,
        workers: int | None = None,
        clock: Clock | None = None,
    ) -> Iterator[tuple[Item, Outputs | ImageError]]:
        """Load and run many images, in order, bounded in memory.

        Args:
            items: what to load: by default paths of image files.
            load: turns an item into ``(H, W, 3) uint8``; called on worker threads.
            workers: threads; by default one for each core.
            clock: counts the seconds of loading (``decoding``) and of the network (``inferring``).

        Yields:
            Each item with its outputs (batch axis of 1), or with the error that kept it from
            being read.
        """
        workers = workers or available_cores()
        _ = self._session
        spent = clock or Clock()

        def one(item: Item) -> Outputs | ImageError:
            try:
                with spent.of(LOADING):
                    image = load(item)
            except ImageError as error:
                return error
            with spent.of(INFERRING):
                return self.run(self.preprocessing(image))

        pending: deque[tuple[Item, Future[Outputs | ImageError]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="encode") as pool:
            try:
                for item in items:
                    pending.append((item, pool.submit(one, item)))
                    if len(pending) >= workers * IN_FLIGHT_PER_WORKER:
                        first, future = pending.popleft()
                        yield first, future.result()
                while pending:
                    first, future = pending.popleft()
                    yield first, future.result()
            finally:
                for _, future in pending:
                    future.cancel()
