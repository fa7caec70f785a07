"""C header of a program: what firmware must know to place, start and feed it."""

from __future__ import annotations

import re

from .program import Program
from .tensor import Tensor


def program_header(program: Program, name: str) -> str:
    """Return a C99 header of constants.

    Parameters
    ----------
    program : Program
    name : str
        Prefix of all constants; characters that C does not allow become ``_``.
    """
    prefix = re.sub(r"\W", "_", name).upper()
    values: list[tuple[str, object]] = [
        ("PARAMETER_HASH", f"0x{program.config.hash:08x}u"),
        ("INSTRUCTIONS", program.instructions),
        ("CODE_WINDOW", program.code_address.window),
        ("CODE_OFFSET", program.code_address.offset),
        ("WINDOWS", len(program.windows)),
    ]
    for index, window in enumerate(program.windows):
        values += [(f"WINDOW{index}_SIZE", window.size), (f"WINDOW{index}_FLAGS", window.flags)]
    for direction, tensors in (("INPUT", program.inputs), ("OUTPUT", program.outputs)):
        for tensor in tensors:
            values += _tensor(direction, tensor)
    guard = f"{prefix}_PROGRAM_H"
    lines = [f"#define {prefix}_{field} {value}\n" for field, value in values]
    about = (
        f"/* Program {name}: preset {program.config.name}, {program.instructions} instructions. "
        "Generated.\n * Flags of a window: 1 readable, 2 writable. "
        "A number stands for number / 2^FRACTION. */\n"
    )
    return f"{about}#ifndef {guard}\n#define {guard}\n\n{''.join(lines)}\n#endif\n"


def _tensor(direction: str, tensor: Tensor) -> list[tuple[str, object]]:
    name = f"{direction}_{re.sub(r'[^A-Za-z0-9]', '_', tensor.name).upper()}"
    if tensor.name == direction.lower():
        name = direction
    return [
        (f"{name}_WINDOW", tensor.window),
        (f"{name}_OFFSET", tensor.offset),
        (f"{name}_ROWS", tensor.rows),
        (f"{name}_COLUMNS", tensor.shape[-1]),
        (f"{name}_STRIDE", tensor.stride),
        (f"{name}_TYPE", f"{tensor.dtype}_t"),
        (f"{name}_FRACTION", tensor.fraction),
    ]
