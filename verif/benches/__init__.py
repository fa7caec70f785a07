"""cocotb benches, one module a hardware block."""
