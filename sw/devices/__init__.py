"""Devices that are hardware."""
