"""An encoder made without torch."""

from __future__ import annotations

import pytest

from terrahash.encoder import Encoder
from tests.tiny import tiny_encoder


@pytest.fixture
def encoder() -> Encoder:
    """An encoder with all parts."""
    return tiny_encoder()
