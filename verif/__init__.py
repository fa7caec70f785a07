"""Golden models, cocotb benches and the simulators that run them."""
