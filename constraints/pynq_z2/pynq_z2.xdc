# TUL PYNQ-Z2, Zynq XC7Z020
# Pins: the master XDC of the PYNQ-Z2, version 1.0: LD0 and LD1
create_clock -quiet -name clk -period 10.000 [get_ports -quiet clk]
set_property -quiet PACKAGE_PIN R14 [get_ports -quiet idle]
set_property -quiet IOSTANDARD LVCMOS33 [get_ports -quiet idle]
set_false_path -quiet -to [get_ports -quiet idle]
set_property -quiet PACKAGE_PIN P14 [get_ports -quiet failed]
set_property -quiet IOSTANDARD LVCMOS33 [get_ports -quiet failed]
set_false_path -quiet -to [get_ports -quiet failed]
