"""Emission: Verilog, manifest, register map, C headers and the ISA page."""
