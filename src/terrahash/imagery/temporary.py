"""Images that come as bytes, where a reader needs a file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terrahash.errors import ImageError

# How such a file shows in a message.
_NAMED = re.compile(r"(/[^\s:]*)?terrahash-\w+(\.tif)?")


@contextmanager
def as_file(data: bytes, suffix: str = "") -> Iterator[Path]:
    """A file of some bytes for as long as it is used; errors call it "the image".

    Args:
        data: its contents.
        suffix: of its name.

    Raises:
        ImageError: if there is no room for it, or as whoever uses it raises.
    """
    try:
        with tempfile.NamedTemporaryFile(prefix="terrahash-", suffix=suffix) as file:
            file.write(data)
            file.flush()
            yield Path(file.name)
    except ImageError as error:
        raise ImageError(_NAMED.sub("the image", error.message), error.remedy) from None
    except OSError as error:
        raise ImageError(
            f"the image: there is no room to unpack it ({error.strerror})",
            "free space in the folder for temporary files, or name another by TMPDIR",
        ) from error
