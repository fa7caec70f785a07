"""What the search raises; every message is one line."""

from ..sparsity.errors import SparsityError


class BudgetError(SparsityError):
    """No choice meets the budget. The message names the nearest one that can be reached."""
