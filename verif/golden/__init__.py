"""NumPy models that define every bit of what the hardware computes."""
