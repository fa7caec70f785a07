"""The SoC of examples/litex: RISC-V firmware runs the digits on the accelerator."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ageha.bench.digits import DigitsWorkload
from ageha.gen.boards import ULX3S
from ageha.gen.generate import generate
from ageha.hw.accelerator import Accelerator
from ageha.sw.cache import build_root
from ageha.sw.driver import run_program
from ageha.sw.program_header import program_header
from ageha.verif.devices.board import HARNESS, SimulatedBoard
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.simulator import build_library

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "litex" / "soc.py"
CONFIG = ULX3S.config
IMAGES = 3
OK = b"\0"

PATIENCE = 5_000_000
"""Cycles in which the processor checks and loads a program."""

BOARD = """module board(input clock, input button, input serial_in, output serial_out, \
output [3:0] lights);
  soc soc(.clock(clock), .reset(button), .serial_rx(serial_in), .serial_tx(serial_out));
  assign lights = 0;
endmodule
"""
"""The SoC with the pins of a simulated board."""


@pytest.fixture(scope="module")
def workload() -> DigitsWorkload:
    return DigitsWorkload(CONFIG, IMAGES)


@pytest.fixture(scope="module")
def folder(workload: DigitsWorkload, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the script of the example writes."""
    python = build_root() / "litex" / ".venv" / "bin" / "python"
    assert python.is_file(), "LiteX is not installed: make litex"
    made = tmp_path_factory.mktemp("litex")
    core, soc = made / "core", made / "soc"
    generate(CONFIG, Accelerator(CONFIG), core)
    workload.program.save(made / "digits.prog")
    (made / "digits.h").write_text(program_header(workload.program, "digits"))
    command = [python, SCRIPT, core, made / "digits", "-o", soc]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return soc


@pytest.fixture(scope="module")
def line(folder: Path) -> Iterator[SimulatedBoard]:
    """Return the serial line of the SoC, whose processor is out of its reset."""
    design = re.sub(r"^//.*\n", "", (folder / "soc.v").read_text(), flags=re.MULTILINE)
    verilog = BOARD + design + (folder / "parts.v").read_text()
    library = build_library(verilog, "board", [HARNESS], arguments=["-Wno-fatal", "-Wno-lint"])
    with contextlib.chdir(folder):
        board = SimulatedBoard(library, PATIENCE)
    board.press(pressed=True, cycles=10)
    board.press(pressed=False, cycles=0)
    yield board
    board.close()


@pytest.mark.slow
def test_firmware_runs_a_program_on_the_accelerator(
    workload: DigitsWorkload, line: SimulatedBoard
) -> None:
    """The C driver loads the program; every score of every image is that of the golden machine."""
    assert line.read(1) == OK
    for image in range(IMAGES):
        inputs = workload.inputs(image)
        result = run_program(GoldenDevice(CONFIG), workload.program, inputs).outputs["output"]
        line.write(np.ascontiguousarray(inputs["input"]).tobytes())
        assert line.read(1) == OK
        scores = np.frombuffer(line.read(result.nbytes), result.dtype)
        np.testing.assert_array_equal(scores, result.ravel())
    assert line.framing_errors == 0
