"""Reading pixels safely, and turning them into a network's input."""

from terrahash.imagery.files import IMAGE_SUFFIXES, find_images
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.imagery.reading import MAX_PIXELS, read_image
from terrahash.imagery.tiling import Length, Tiling
from terrahash.imagery.window import read_window

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Length",
    "Preprocessing",
    "Tiling",
    "find_images",
    "read_image",
    "read_window",
]
