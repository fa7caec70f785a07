"""Names of modules, ports and files in what is emitted."""

import re
from typing import Any

from amaranth.hdl import Signal, Value, ValueCastable
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

Ports = dict[str, tuple[Signal, PortDirection]]

_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
always and assign begin bit buf byte case cell class config const default design disable edge else
end enum event export force fork function generate if import include initial inout input instance
int integer interface join library local localparam logic matches modport module nand negedge new
nor not null or output package parameter posedge primitive priority process program property
protected pure rand real ref reg release repeat return sequence signed small specify static strength
string strong struct super supply table tagged task this time tran tri type union unique unsigned
use var vectored virtual void wait wand weak while wire with wor xnor xor
""",
    )
)


class NameClash(ValueError):
    """Two members of a signature would have the same port name."""


def snake_case(name: str) -> str:
    """Return ``processing_element`` for ``ProcessingElement``."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return re.sub(r"\W+", "_", text).strip("_")


def module_name(name: str) -> str:
    """Return `name` in snake case, changed if Verilog has a keyword like it."""
    text = snake_case(name) or "module"
    return f"{text}_block" if text in _RESERVED else text


def component_ports(component: wiring.Component) -> Ports:
    """Return the ports of `component` by name: the path of the member joined by ``_``.

    Constant members, such as the `ready` of a stream that is always ready, are no ports.

    Raises
    ------
    NameClash
        If two members would have the same name.
    """
    ports: Ports = {}
    for path, member, value in component.signature.flatten(component):
        signal: Any = Value.cast(value) if isinstance(value, ValueCastable) else value
        if not isinstance(signal, Signal) or len(signal) == 0:
            continue
        name = "_".join(map(str, path))
        if name in ports:
            raise NameClash(f"two members of {type(component).__name__} have port name {name}")
        incoming = member.flow == wiring.In
        ports[name] = (signal, PortDirection.Input if incoming else PortDirection.Output)
    return ports
