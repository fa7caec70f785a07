"""The top module of a board: its clock, its reset and its pins around `hw.board.Board`."""

from dataclasses import dataclass

from ..hw.config import ConfigError
from .boards import LIGHTS, BoardDescription

TOP = "board_top"
BOARD = "board"
"""Name of the module that `hw.board.Board` is emitted as."""

HIGHEST_VCO_MHZ = 800
"""The oscillator of the ECP5's PLL runs from half of this to this (FPGA-DS-02012, sysCLOCK PLL
timing)."""

LOWEST_COMPARED_MHZ = 3.125
"""What the PLL's phase detector can compare, as Project Trellis' ecppll has it."""

LOWEST_MHZ, HIGHEST_MHZ = 5, 200
LARGEST_DIVIDER = 128

_RESET_BITS = 5
"""The reset lasts half as many cycles as so many bits count."""


@dataclass(frozen=True)
class Pll:
    """Dividers of the ECP5's EHXPLLL, its feedback taken from the output.

    Parameters
    ----------
    input_divider, feedback_divider, output_divider : int
        1 to 128.
    """

    input_divider: int
    feedback_divider: int
    output_divider: int


def pll(input_mhz: int, output_mhz: int) -> Pll:
    """Return the dividers that make a clock of another.

    Parameters
    ----------
    input_mhz, output_mhz : int
        The output from 5 to 200.

    Raises
    ------
    ConfigError
        If the output is out of range or there are no such dividers.
    """
    if not LOWEST_MHZ <= output_mhz <= HIGHEST_MHZ:
        raise ConfigError(
            f"the clock must be from {LOWEST_MHZ} to {HIGHEST_MHZ} MHz, not {output_mhz}"
        )
    output = min(HIGHEST_VCO_MHZ // output_mhz, LARGEST_DIVIDER)
    for divider in range(1, int(input_mhz / LOWEST_COMPARED_MHZ) + 1):
        feedback, rest = divmod(output_mhz * divider, input_mhz)
        if not rest and 1 <= feedback <= LARGEST_DIVIDER:
            return Pll(divider, feedback, output)
    raise ConfigError(f"the clock cannot be {output_mhz} MHz from {input_mhz} MHz")


def _clock(board: BoardDescription, clock_mhz: int) -> str:
    if clock_mhz == board.clock_mhz:
        return "  wire clk = clock;\n  wire locked = 1'b1;\n"
    found = pll(board.clock_mhz, clock_mhz)
    # Half a period later than at zero: the place of the first edge, which counts from zero.
    phase = found.output_divider // 2
    return f"""  wire clk, locked;
  (* FREQUENCY_PIN_CLKI="{board.clock_mhz}", FREQUENCY_PIN_CLKOP="{clock_mhz}",
     ICP_CURRENT="12", LPF_RESISTOR="8", MFG_ENABLE_FILTEROPAMP="1", MFG_GMCREF_SEL="2" *)
  EHXPLLL #(
    .CLKI_DIV({found.input_divider}),
    .CLKFB_DIV({found.feedback_divider}),
    .CLKOP_DIV({found.output_divider}),
    .CLKOP_CPHASE({phase}),
    .CLKOP_ENABLE("ENABLED"),
    .FEEDBK_PATH("CLKOP")
  ) pll (
    .CLKI(clock), .CLKFB(clk), .CLKOP(clk), .LOCK(locked), .ENCLKOP(1'b0),
    .RST(1'b0), .STDBY(1'b0), .PLLWAKESYNC(1'b0),
    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b0), .PHASESTEP(1'b0), .PHASELOADREG(1'b0)
  );
"""


def board_top(board: BoardDescription, clock_mhz: int) -> str:
    """Return the Verilog of the top module of a board.

    The reset begins when the device is configured and when the button is pressed, and ends 16
    cycles after the clock is steady and the button is up.

    Parameters
    ----------
    board : BoardDescription
    clock_mhz : int
        Of the machine; made by a PLL if it is not that of the oscillator.

    Raises
    ------
    ConfigError
        If the clock cannot be made.
    """
    ports = ["input clock", "input button", "input serial_in", "output serial_out"]
    ports += [f"output [{len(LIGHTS) - 1}:0] lights"]
    ports += [f"output {name}" for name in board.constants]
    lines = ",\n  ".join(ports)
    constants = "".join(
        f"  assign {name} = 1'b{level};\n" for name, level in board.constants.items()
    )
    pressed = "button" if board.button_pressed else "~button"
    shown = "" if board.light_on else "~"
    lights = "{" + ", ".join(reversed(LIGHTS)) + "}"
    connections = "".join(f",\n    .{name}({name})" for name in LIGHTS)
    last = _RESET_BITS - 1
    return f"""// {board.title}; {clock_mhz} MHz.
module {TOP}(
  {lines}
);
{_clock(board, clock_mhz)}
  // Two flip-flops for what knows nothing of the clock.
  reg [1:0] held = 2'b11;
  reg [{last}:0] waited = 0;
  always @(posedge clk) begin
    held <= {{held[0], {pressed} | ~locked}};
    if (held[1]) waited <= 0;
    else if (~waited[{last}]) waited <= waited + 1'b1;
  end

  wire {", ".join(LIGHTS)};
  assign lights = {shown}{lights};
{constants}  {BOARD} {BOARD} (
    .clk(clk),
    .rst(~waited[{last}]),
    .serial_in(serial_in),
    .serial_out(serial_out){connections}
  );
endmodule
"""
