"""The machine: Amaranth components, their parameters, and the instruction and register layouts."""
