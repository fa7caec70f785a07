"""A component tree to RTLIL with one module per distinct component.

Amaranth writes a module for every instance, with whatever signals happen to cross its border as
ports and with constants folded in, so that even equal components differ. Here every component
whose border is its signature is converted on its own, with exactly the ports of its signature;
results that are equal are one module, and the parent instantiates it by name. Submodules that
share other signals with their parent stay as Amaranth writes them; equal ones are merged too.

The functions of Amaranth that are used are not public, which the pinned version makes safe.
"""

import re
from dataclasses import dataclass, field

from amaranth.back import rtlil
from amaranth.hdl import Fragment, Instance
from amaranth.hdl._ast import SignalDict, SignalSet
from amaranth.hdl._ir import Design, PortDirection
from amaranth.lib import wiring

from .naming import Ports, component_ports, module_name

_ROOT = "_root_"
_MODULE = re.compile(
    rf"^(?:attribute [^\n]*\n)*module \\({_ROOT}\S*)\n(.*?)^end\n", re.MULTILINE | re.DOTALL
)
_REFERENCE = re.compile(rf"^(\s+cell )\\({_ROOT}\S*)", re.MULTILINE)
_PORT = re.compile(r"^(  wire width \d+ (?:input|output|inout)) (\d+)", re.MULTILINE)
_NUMBERED = re.compile(r"\\([A-Za-z_]\w*)\$(\d+)")


@dataclass
class _Registry:
    """Modules by body, and the names that are taken."""

    names: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)

    def add(self, stem: str, body: str) -> str:
        """Return the name of the module with this body, the stem with a number if need be."""
        if body not in self.names:
            name, number = stem, 1
            while name in self.bodies:
                number += 1
                name = f"{stem}_{number}"
            self.names[body] = name
            self.bodies[name] = body
        return self.names[body]


@dataclass
class _Node:
    """A fragment, the signals used in or below it, and whether a domain is defined there."""

    fragment: Fragment
    used: SignalDict
    defines_domain: bool
    children: list["_Node"]


def _defines_domain(fragment: Fragment, found: dict[int, bool]) -> bool:
    """Record for each fragment of the tree whether it or one below it defines a domain."""
    below = [_defines_domain(child, found) for child, _name, _source in fragment.subfragments]
    found[id(fragment)] = bool(fragment.domains) or any(below)
    return found[id(fragment)]


def _tree(fragment: Fragment, lowered: Fragment, design: Design, defined: dict[int, bool]) -> _Node:
    pairs = zip(fragment.subfragments, lowered.subfragments, strict=True)
    children = [_tree(old[0], new[0], design, defined) for old, new in pairs]
    used = design.fragments[lowered].used_signals
    return _Node(fragment, used, defined[id(fragment)], children)


def _component(fragment: Fragment) -> wiring.Component | None:
    for origin in fragment.origins or ():
        if isinstance(origin, wiring.Component):
            return origin
    return None


def _domain_ports(node: _Node) -> Ports:
    """Return clock and reset inputs for the domains that are used in or below `node`."""
    ports: Ports = {}
    for domain in node.fragment.domains.values():
        for signal in (domain.clk, domain.rst):
            if signal is not None and signal in node.used:
                ports[signal.name] = (signal, PortDirection.Input)
    return ports


def _border(parent: _Node, node: _Node) -> Ports | None:
    """Return the ports of `node` as a module of its own, or None if it cannot be one."""
    component = _component(node.fragment)
    if component is None or node.defines_domain or isinstance(node.fragment, Instance):
        return None
    ports = component_ports(component)
    domains = _domain_ports(node)
    if not ports or ports.keys() & domains.keys():
        return None
    ports.update(domains)
    allowed = SignalSet(signal for signal, _direction in ports.values())
    if len(allowed) != len(ports):
        return None
    if any(signal in parent.used and signal not in allowed for signal in node.used):
        return None
    return ports


def _separate(node: _Node, registry: _Registry) -> None:
    """Replace what can be a module of its own below `node` by instances."""
    replaced = []
    for child, (fragment, name, source) in zip(
        node.children, node.fragment.subfragments, strict=True
    ):
        ports = _border(node, child)
        if ports is None:
            _separate(child, registry)
        else:
            component = _component(fragment)
            module = _convert(child, ports, module_name(type(component).__name__), registry)
            fragment = _instance(module, ports, _domain_ports(child), name)
        replaced.append((fragment, name, source))
    node.fragment.subfragments[:] = replaced


def _instance(module: str, ports: Ports, domains: Ports, name: str | None) -> Instance:
    """Return an instance of `module`; its ports name the signals of the parent after it."""
    for port, (signal, _direction) in ports.items():
        if name is not None and port not in domains:
            signal.name = f"{name}_{port}"
    connections = [
        ("i" if direction is PortDirection.Input else "o", port, signal)
        for port, (signal, direction) in ports.items()
    ]
    return Instance(module, *connections)


def _convert(node: _Node, ports: Ports, stem: str, registry: _Registry) -> str:
    """Add the modules of `node` to the registry; return the name of its own."""
    _separate(node, registry)
    for port, (signal, _direction) in ports.items():
        signal.name = port
    text, _names = rtlil.convert_fragment(
        node.fragment, ports, _ROOT, emit_src=False, propagate_domains=False
    )
    identifiers = set(re.findall(r"\\([A-Za-z_]\w*)(?=[\s\[])", text))

    def rename(match: re.Match[str]) -> str:
        name = f"{match[1]}_{match[2]}"
        return match[0] if name in identifiers else f"\\{name}"

    text = _NUMBERED.sub(rename, text)
    # Amaranth counts ports from 0, which yosys takes for "no place" and moves behind the others.
    text = _PORT.sub(lambda match: f"{match[1]} {int(match[2]) + 1}", text)
    found = _MODULE.findall(text)
    names: dict[str, str] = {}
    for path, body in reversed(found):
        body = _REFERENCE.sub(lambda match: f"{match[1]}\\{names[match[2]]}", body)
        leaf = path.removeprefix(_ROOT).rpartition(".")[2]
        leaf = re.sub(r"[_$]*\d+(_\d+)*$", "", leaf)
        names[path] = registry.add(module_name(f"{stem}_{leaf}") if path != _ROOT else stem, body)
    return names[_ROOT]


def convert(component: wiring.Component, name: str | None = None) -> tuple[str, str]:
    """Return the name of the top module and the RTLIL of `component`, equal modules merged.

    Parameters
    ----------
    component : wiring.Component
        What to convert. It cannot be elaborated again.
    name : str, optional
        Name of the top module; by default the class name in snake case.

    Raises
    ------
    NameClash
        If two members of a signature would have the same port name.
    """
    ports = component_ports(component)
    fragment = Fragment.get(component, None)
    defined: dict[int, bool] = {}
    _defines_domain(fragment, defined)
    design = fragment.prepare(ports)
    root = _tree(fragment, design.fragment, design, defined)
    ports.update(_domain_ports(root))
    registry = _Registry()
    top = _convert(root, ports, name or module_name(type(component).__name__), registry)
    modules = [f"module \\{module}\n{body}end\n" for module, body in registry.bodies.items()]
    return top, "\n".join(modules)
