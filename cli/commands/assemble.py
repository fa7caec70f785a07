"""`ageha asm` and `ageha disasm`: microcode as text."""

import dataclasses
import math
from pathlib import Path
from typing import Annotated

import typer

from ...hw.config import INSTRUCTION_BYTES, WORD_BYTES, AcceleratorConfig
from ...hw.isa import Unit
from ...sw.assembler import AssemblyError, assemble
from ...sw.disassembler import disassemble
from ...sw.instruction import Dram, InstructionError, decode, split_words
from ...sw.program import Program, ProgramError, Window
from ..errors import input_errors
from ..options import ConfigFile, Preset, Settings, machine
from ..output import require_writable, write_file
from .report import read_text


def _data_sizes(code: bytes, alignment: int) -> list[int]:
    """Return how many bytes of each window the instructions of `code` reach."""
    sizes = [0]
    for word in split_words(code):
        try:
            instruction = decode(word)
        except InstructionError:
            continue
        if instruction.unit not in (Unit.LOAD, Unit.STORE):
            continue
        window, offset = instruction["dram_address"]
        rows, row_bytes = instruction["rows"], WORD_BYTES * instruction["row_words"]
        end = offset + (rows - 1) * instruction["dram_stride"] + row_bytes
        sizes += [0] * (window + 1 - len(sizes))
        sizes[window] = max(sizes[window], math.ceil(end / alignment) * alignment)
    return sizes


def bare_program(code: bytes, config: AcceleratorConfig) -> Program:
    """Return a program of nothing but `code`: windows as large as it needs, all of them zero.

    Raises
    ------
    ProgramError
        If the code is empty or needs more windows than the machine has.
    """
    sizes = _data_sizes(code, max(INSTRUCTION_BYTES, config.axi_bytes))
    place = sizes[0]
    sizes[0] += INSTRUCTION_BYTES + len(code)
    windows = tuple(
        Window(f"window{index}", max(size, INSTRUCTION_BYTES), writable=True)
        for index, size in enumerate(sizes)
    )
    return Program(config, code, Dram(0, place), windows)


def asm(
    source: Annotated[
        Path, typer.Argument(help="Text as `ageha disasm` prints it.", metavar="SOURCE")
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The program file.")
    ],
    base: Annotated[
        Path | None,
        typer.Option(
            help="A program whose data, inputs and outputs to keep; only its code is replaced.",
            metavar="PROGRAM",
        ),
    ] = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Assemble text to a program.

    Without `--base` the program has no data: its windows are zero and as large as its loads and
    stores need.
    """
    parameters = machine(preset, config, settings)
    require_writable("--output", target)
    text = read_text("SOURCE", source)
    with input_errors(AssemblyError, prefix=f"SOURCE {source}: "):
        code = assemble(text)
    with input_errors(ProgramError):
        if base is None:
            program = bare_program(code, parameters)
        else:
            program = dataclasses.replace(Program.load(base), code=code)
    write_file("--output", target, program.to_bytes())


def disasm(
    program: Annotated[Path, typer.Argument(help="A program file.", metavar="PROGRAM")],
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write here, not to the terminal."),
    ] = None,
) -> None:
    """Print the microcode of a program as text that `ageha asm` reads."""
    require_writable("--output", target)
    with input_errors(ProgramError):
        text = disassemble(Program.load(program).code)
    if target is None:
        print(text, end="")
    else:
        write_file("--output", target, text)
