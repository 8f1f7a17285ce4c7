"""An ONNX network run over images at the speed of the processor."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import EncoderError, ImageError
from terrahash.imagery.clock import Clock
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.machine import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Outputs = list[NDArray[np.float32]]

# Images that a worker takes at a time once it runs: threads then meet so seldom that their waking
# and waiting does not count. The first groups are smaller, so that few images are shared out too.
GROUP = 8
# Groups waiting for or in work, per worker: enough that no worker idles while its results are being
# stored; an image is loaded only when its turn comes.
GROUPS_PER_WORKER = 2

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

    def _outputs(self, images: Sequence[NDArray[np.uint8]]) -> Outputs:
        """Outputs for images as they were loaded, one run each."""
        found = [self.run(self.preprocessing(image)) for image in images]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def stream(
        self,
        items: Iterable[Item],
        load: Callable[[Item], NDArray[np.uint8]],
        finish: Callable[[Outputs], Iterable[Result]],
        *,
        workers: int | None = None,
        clock: Clock | None = None,
    ) -> Iterator[tuple[Item, Result | ImageError]]:
        """Load and run many images, in order, bounded in memory.

        Args:
            items: what to load.
            load: turns an item into ``(H, W, C) uint8``; called on worker threads.
            finish: turns the outputs of some images into the result of each; likewise.
            workers: threads; by default one for each core.
            clock: counts the seconds of loading (``decoding``) and of the network (``inferring``).

        Yields:
            Each item with its result, or with the error that kept it from being read.
        """
        workers = workers or available_cores()
        _ = self._session
        spent = clock or Clock()

        def loaded(item: Item) -> NDArray[np.uint8] | ImageError:
            try:
                return load(item)
            except ImageError as error:
                return error

        def results(group: list[Item]) -> list[tuple[Item, Result | ImageError]]:
            # First all are loaded, then all are run: in turns, each would find the processor's
            # caches full of the other (measured: loading takes a third longer then).
            with spent.of(LOADING):
                found = [loaded(item) for item in group]
            sound = [image for image in found if not isinstance(image, ImageError)]
            with spent.of(INFERRING):
                each = iter(finish(self._outputs(sound)) if sound else ())
            return [
                (item, one if isinstance(one, ImageError) else next(each))
                for item, one in zip(group, found, strict=True)
            ]

        pending: deque[Future[list[tuple[Item, Result | ImageError]]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="encode") as pool:
            try:
                for group in _groups(items, workers):
                    pending.append(pool.submit(results, group))
                    if len(pending) >= workers * GROUPS_PER_WORKER:
                        yield from pending.popleft().result()
                while pending:
                    yield from pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()


def _groups(items: Iterable[Item], workers: int) -> Iterator[list[Item]]:
    """Items in lists, of one item at first and of ``GROUP`` once each worker had some."""
    left = iter(items)
    for count in itertools.count():
        group = list(itertools.islice(left, min(GROUP, 1 + count // (2 * workers))))
        if not group:
            return
        yield group
