"""Butterfly matrices in float64: weights, exact transforms, projections, cost."""
