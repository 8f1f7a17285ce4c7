"""``scenes``: a seeded, procedural data set of land-use tiles seen from above.

It needs nothing from outside, so that the demo, the tests and a first look work anywhere. Classes
share their colours and textures (one palette a tile, drawn without regard to the class), and
borrow each other's parts as clutter, so that form and layout are what tells them apart.
"""

from __future__ import annotations

from terrahash.datasets.scenes.generate import (
    SCENE_CLASSES,
    SCENE_CONTENTS,
    generate_scenes,
    load_scene_sets,
    load_scenes,
    scenes_folder,
)

__all__ = [
    "SCENE_CLASSES",
    "SCENE_CONTENTS",
    "generate_scenes",
    "load_scene_sets",
    "load_scenes",
    "scenes_folder",
]
