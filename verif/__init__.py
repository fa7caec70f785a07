"""Golden models, testbenches, formal properties and the simulator harness."""
