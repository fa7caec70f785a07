"""What the sparsity package raises; every message is one line."""


class SparsityError(ValueError):
    """A request cannot be met. The message names figure and limit."""


class SparseFormatError(SparsityError):
    """Compressed data is malformed. The message begins with the position."""
