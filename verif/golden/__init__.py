"""Bit-exact NumPy models, one module a hardware block."""
