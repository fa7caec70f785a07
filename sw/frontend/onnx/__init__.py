"""Encoders from ONNX files: the graph is run on a sample, and read from what each value is there.

Every exporter writes shapes, splits and masks in its own way. On a sample all of them are numbers:
which channel of a projection a head reads is found by sending indices through the same operators,
and what the float model makes of the sample must be what the graph makes of it.
"""
