"""Passes of the compiler: small functions from graph to graph."""
