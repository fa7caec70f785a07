"""Measurements and their references."""
