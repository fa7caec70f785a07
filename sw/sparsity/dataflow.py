"""The seven dataflows of the array, after FlexiSAGA (Mueller et al., arXiv 2506.01566)."""

from enum import StrEnum


class Dataflow(StrEnum):
    """What stays in the array (output, weight, input), and what is skipped."""

    DENSE_OUTPUT = "dOS"
    DENSE_WEIGHT = "dWS"
    DENSE_INPUT = "dIS"
    SPARSE_OUTPUT = "sOS"
    """K-slices whose weights are zero for all columns of the tile."""
    COLUMN_SPARSE_OUTPUT = "csOS"
    """Inside a block of K, whatever the column does not need."""
    SPARSE_WEIGHT = "sWS"
    """Zero rows and columns of the stationary tile."""
    SPARSE_INPUT = "sIS"
    """Weight vectors that are zero over the K of the tile."""
