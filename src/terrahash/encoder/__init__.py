"""The artefact that training leaves and everything else uses: image ► hash code."""

from terrahash.encoder.encoded import Encoded
from terrahash.encoder.encoder import Encoder
from terrahash.encoder.network import Network

__all__ = ["Encoded", "Encoder", "Network"]
