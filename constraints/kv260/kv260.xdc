# AMD Kria KV260, Zynq UltraScale+ XCK26
# Pins: the carrier card's PMOD J2, pins 1 and 3: lights are to be plugged in
create_clock -quiet -name clk -period 10.000 [get_ports -quiet clk]
set_property -quiet PACKAGE_PIN H12 [get_ports -quiet idle]
set_property -quiet IOSTANDARD LVCMOS33 [get_ports -quiet idle]
set_false_path -quiet -to [get_ports -quiet idle]
set_property -quiet PACKAGE_PIN E10 [get_ports -quiet failed]
set_property -quiet IOSTANDARD LVCMOS33 [get_ports -quiet failed]
set_false_path -quiet -to [get_ports -quiet failed]
