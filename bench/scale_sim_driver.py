"""Run SCALE-Sim on products; executed by the Python of SCALE-Sim's own environment.

Reads JSON ``{"rows", "columns", "flow", "shapes": [[m, n, k], ...]}`` from standard input and
writes the list of "Total Cycles" to standard output. SCALE-Sim reads and writes files in the
working folder. Imports nothing but the standard library and SCALE-Sim.
"""

import contextlib
import csv
import json
import sys
from pathlib import Path

from scalesim.scale_sim import scalesim  # type: ignore[import-not-found]

CONFIG = """\
[general]
run_name = run
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {columns}
IfmapSramSzkB = 4096
FilterSramSzkB = 4096
OfmapSramSzkB = 4096
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {flow}
ReadRequestBuffer = 64
WriteRequestBuffer = 64
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""

LAYOUT_FIELDS = 20


def simulate(job: dict) -> list[int]:
    """Return the cycles of each shape of `job`."""
    Path("array.cfg").write_text(CONFIG.format(**job), encoding="ascii")
    products = [f"p{index}, {m}, {n}, {k},\n" for index, (m, n, k) in enumerate(job["shapes"])]
    Path("products.csv").write_text("name, m, n, k,\n" + "".join(products), encoding="ascii")
    places = [f"p{index}," + "1," * LAYOUT_FIELDS + "\n" for index in range(len(products))]
    Path("layout.csv").write_text("name,\n" + "".join(places), encoding="ascii")
    simulator = scalesim(
        save_disk_space=True,
        verbose=False,
        config="array.cfg",
        topology="products.csv",
        layout="layout.csv",
        input_type_gemm=True,
    )
    simulator.run_scale(top_path="out")
    with open("out/run/COMPUTE_REPORT.csv", encoding="ascii", newline="") as report:
        rows = list(csv.DictReader(report, skipinitialspace=True))
    return [int(float(row["Total Cycles"])) for row in rows]


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        cycles = simulate(json.load(sys.stdin))
    json.dump(cycles, sys.stdout)
