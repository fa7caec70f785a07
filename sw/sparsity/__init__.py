"""Sparse weights: compressed formats, pruning shaped to the array, sums of N:M terms."""
