"""Learning to hash. torch lives here and nowhere else."""

from terrahash.learning.compat import require_torch

require_torch()

from terrahash.learning.planning import TrainingOptions  # noqa: E402
from terrahash.learning.training import train  # noqa: E402

__all__ = ["TrainingOptions", "train"]
