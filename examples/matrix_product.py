"""One matrix product, written by hand: assembled, run on the golden model and on the Verilog.

    python examples/matrix_product.py

`matrix_product.s` is the whole program: three units, ordered by semaphores alone.
"""

from pathlib import Path

import numpy as np

from ageha.hw.config import AcceleratorConfig, preset
from ageha.sw.assembler import assemble
from ageha.sw.driver import run_program
from ageha.sw.instruction import Dram
from ageha.sw.program import Program, Window
from ageha.sw.scale import ScaleVector
from ageha.sw.tensor import Tensor
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.devices.rtl import RtlDevice

M, N, K = 6, 8, 24

SOURCE = Path(__file__).with_suffix(".s").read_text(encoding="utf-8")


def build(config: AcceleratorConfig) -> Program:
    """Return the program and what its inputs and outputs are."""
    return Program(
        config,
        assemble(SOURCE),
        code_address=Dram(0, 0),
        windows=(Window("code", 4096), Window("data", 4096, writable=True)),
        inputs=(
            Tensor("a", 1, 0x000, (M, K), "int8", K),
            Tensor("b", 1, 0x100, (N, K), "int8", K),
            Tensor("row_scales", 1, 0x200, (M,), "uint64", 8 * M),
            Tensor("column_scales", 1, 0x240, (N,), "uint64", 8 * N),
        ),
        outputs=(Tensor("y", 1, 0x300, (M, N), "int16", 2 * N, fraction=8),),
    )


def main() -> None:
    """Run the product on both devices and compare them with each other and with floats."""
    config = preset("tiny")
    program = build(config)
    generator = np.random.default_rng(1)
    a = generator.integers(-127, 128, (M, K), dtype=np.int8)
    b = generator.integers(-127, 128, (N, K), dtype=np.int8)
    rows, columns = generator.uniform(0.001, 0.02, M), generator.uniform(0.001, 0.02, N)
    inputs = {
        "a": a,
        "b": b,
        "row_scales": ScaleVector.from_float(rows).pack(),
        "column_scales": ScaleVector.from_float(columns).pack(),
    }
    golden = run_program(GoldenDevice(config), program, inputs).outputs["y"]
    with RtlDevice(config) as device:
        result = run_program(device, program, inputs)
    np.testing.assert_equal(result.outputs["y"], golden)

    exact = (a.astype(float) @ b.T.astype(float)) * rows[:, None] * columns
    error = np.abs(program.outputs[0].to_float(golden) - exact).max()
    print(f"RTL equals golden in all {golden.size} elements")
    print(f"{result.counters['cycles']} cycles, largest error against floats {error:.4f}")


if __name__ == "__main__":
    main()
