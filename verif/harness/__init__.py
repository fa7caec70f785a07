"""C++ around the Verilated accelerator: clock, register port, AXI4 memory, protocol checks."""
