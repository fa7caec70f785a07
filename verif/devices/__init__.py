"""Devices that need no hardware: the golden model and the simulated Verilog."""
