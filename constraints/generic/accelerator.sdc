# The accelerator has one clock, and no path from port to port.
create_clock -name clk -period 10.000 [get_ports clk]
