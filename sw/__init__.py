"""Front ends, quantisation, graph IR, compiler passes, assembler and driver."""
