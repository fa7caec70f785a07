"""cocotb testbenches, one a block, run by the tests of the same name."""
