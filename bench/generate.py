"""How long generation takes, and what comes out."""

import time
from pathlib import Path
from typing import Any

from ..gen.generate import TOP, generate
from ..hw.accelerator import Accelerator
from ..hw.config import AcceleratorConfig


def generate_design(config: AcceleratorConfig, folder: Path) -> dict[str, Any]:
    """Generate the accelerator of `config` in `folder` and return a record of it.

    Returns
    -------
    dict
        ``bench``, ``preset``, ``case``, ``seconds`` (wall clock), ``verilog_lines``, ``modules``
        (distinct ones) and ``instances`` (of each module).
    """
    start = time.monotonic()
    manifest = generate(config, Accelerator(config), folder)
    seconds = time.monotonic() - start
    verilog = (folder / f"{TOP}.v").read_text(encoding="utf-8")
    return {
        "bench": "generate",
        "preset": config.name,
        "case": config.name,
        "seconds": round(seconds, 2),
        "verilog_lines": verilog.count("\n"),
        "modules": len(manifest["modules"]),
        "instances": manifest["modules"],
    }
