"""Learning to hash. torch lives here and nowhere else."""

from terrahash.learning.training import TrainingOptions, train

__all__ = ["TrainingOptions", "train"]
