"""Front ends, quantisation, compiler, assembler and driver."""
