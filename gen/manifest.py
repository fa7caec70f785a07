"""What was generated: parameters, ports, modules and files, for other tools to read."""

import hashlib
import re
from pathlib import Path
from typing import Any

from ..hw.config import AcceleratorConfig
from .verilog import Verilog, version

_PORT = re.compile(r"^  (input|output)(?: signed)? (?:\[(\d+):0\] )?(\w+);$", re.MULTILINE)


def ports(verilog: Verilog) -> list[dict[str, Any]]:
    """Return name, direction and width in bits of each port of the top module."""
    top = verilog.text.partition("endmodule")[0]
    return [
        {"name": name, "direction": direction, "width": int(high or 0) + 1}
        for direction, high, name in _PORT.findall(top)
    ]


def instances(verilog: Verilog) -> dict[str, int]:
    """Return how many times each module is instantiated in the text; the top counts as one."""
    return {
        name: max(1, len(re.findall(rf"^  {re.escape(name)} \S+ \($", verilog.text, re.MULTILINE)))
        for name in verilog.modules
    }


def manifest(config: AcceleratorConfig, verilog: Verilog, folder: Path) -> dict[str, Any]:
    """Return the description of what was generated in `folder`.

    Files are listed with the SHA-256 of their content, so that a change by hand shows; the
    manifest itself is left out.
    """
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"
    )
    return {
        "generator": f"ageha {version()}",
        "preset": config.name,
        "parameters": config.to_dict(),
        "parameter_hash": f"0x{config.hash:08x}",
        "top": verilog.top,
        "ports": ports(verilog),
        "modules": instances(verilog),
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        },
    }
