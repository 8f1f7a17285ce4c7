"""Reading pixels safely, and turning them into a network's input."""

from terrahash.imagery.files import IMAGE_SUFFIXES, find_images
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.imagery.reading import MAX_PIXELS, read_image

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "Preprocessing", "find_images", "read_image"]
