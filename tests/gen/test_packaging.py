"""The descriptions of the accelerator for FuseSoC, Vivado and LiteX fit what is generated."""

import re
import sys
from types import ModuleType

import pytest
import toys
import yaml
from amaranth.hdl._ir import PortDirection

from ageha.gen.generate import TOP, generate
from ageha.gen.litex import LITEX
from ageha.gen.naming import component_ports
from ageha.gen.packaging import CORE, VIVADO
from ageha.gen.verilog import version
from ageha.hw.accelerator import Accelerator
from ageha.hw.axi import Axi4Signature, AxiLiteSignature
from ageha.hw.config import PRESETS
from ageha.hw.registers import ADDRESS_BITS

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("generated")
    generate(TINY, toys.Grid(4), made, 8.0)
    return made


def test_every_file_of_the_core_is_generated(folder):
    text = (folder / CORE).read_text()
    head, _, body = text.partition("\n")
    assert head == "CAPI=2:"
    core = yaml.safe_load(body)
    assert core["name"] == f"ageha:attention:{TOP}:{version()}"
    names = [
        name for fileset in core["filesets"].values() for file in fileset["files"] for name in file
    ]
    assert f"{TOP}.v" in names
    for name in names:
        assert (folder / name).is_file(), name
    for target in core["targets"].values():
        assert target["toplevel"] == TOP
        assert set(target["filesets"]) <= set(core["filesets"])


def test_the_script_packages_what_is_generated(folder):
    script = (folder / VIVADO).read_text()
    assert f"set source [file join [file dirname $here] {TOP}.v]" in script
    assert f"set_property range {1 << ADDRESS_BITS} $block" in script
    code = re.sub(r"^#.*$", "", script, flags=re.MULTILINE)
    for opening, closing in ("{}", "[]"):
        assert code.count(opening) == code.count(closing)


def test_the_ports_are_those_that_vivado_infers_buses_from():
    """The names of AXI, lower case, after the name of the bus; clock and reset are `clk`, `rst`."""
    ports = component_ports(Accelerator(TINY))
    for bus, channels in (
        ("s_axi", AxiLiteSignature(ADDRESS_BITS)),
        ("m_axi", Axi4Signature(TINY)),
    ):
        assert {f"{bus}_{name}" for name in channels.members} <= set(ports)
    assert "interrupt" in ports


def test_the_period_is_in_the_constraints(folder):
    assert "-period 8.000" in (folder / "constraints" / "generic" / "accelerator.sdc").read_text()


class Anything:
    """Stands for any object of LiteX: every attribute, item and call is another one."""

    def __init__(self, *_arguments, **_options):
        pass

    def __getattr__(self, _name):
        return Anything()

    def __getitem__(self, _key):
        return Anything()

    def __call__(self, *_arguments, **_options):
        return Anything()

    def __iadd__(self, _other):
        return self


def test_the_litex_module_connects_every_port(folder, monkeypatch):
    """Each port has one connection in its direction; the trace and the status lights stay open."""
    made = []

    class Module:
        comb = specials = Anything()

    packages = ("litex", "litex.gen", "litex.soc", "litex.soc.interconnect", "migen")
    for name in (*packages, "litex.soc.interconnect.csr_eventmanager"):
        stub = ModuleType(name)
        for member in ("EventManager", "EventSourceLevel", "ClockSignal", "ResetSignal", "Signal"):
            setattr(stub, member, Anything)
        stub.axi, stub.LiteXModule = Anything(), Module
        stub.Instance = lambda *names, **ports: made.append((names, ports))
        monkeypatch.setitem(sys.modules, name, stub)
    source = folder / LITEX
    names = {"__file__": str(source)}
    exec(compile(source.read_text(), source.name, "exec"), names)
    names["Ageha"](Anything())
    (((top,), connections),) = made
    assert (top, names["SOURCE"]) == (TOP, folder / f"{TOP}.v")
    ports = component_ports(Accelerator(TINY))
    expected = {
        f"{'i' if direction is PortDirection.Input else 'o'}_{name}"
        for name, (_signal, direction) in ports.items()
        if not name.startswith("trace_") and name not in ("idle", "failed")
    }
    assert set(connections) == expected | {"i_clk", "i_rst"}
