"""A component tree to RTLIL with one module per distinct component.

Amaranth writes a module for every instance, with whatever nets happen to cross its border as
ports and with constants folded in, so that even equal components differ. Here every submodule is
converted on its own, with the ports of its signature and with the other signals that it shares
with its surroundings; results that are equal are one module, and the parent instantiates it by
name.

The functions of Amaranth that are used are not public, which the pinned version makes safe.
"""

import contextlib
import gc
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Fragment, Instance, Module
from amaranth.hdl._ast import SignalSet
from amaranth.hdl._ir import Design, IOBufferInstance, PortDirection, RequirePosedge
from amaranth.hdl._mem import MemoryInstance
from amaranth.hdl._xfrm import TransformedElaboratable
from amaranth.lib import wiring

from .naming import Ports, component_ports, module_name
from .rtlil import clean, split

_ROOT = "_root_"
_SPECIAL = (Instance, IOBufferInstance, MemoryInstance, RequirePosedge)
_REFERENCE = re.compile(rf"^(\s+cell )\\({_ROOT}\S*)", re.MULTILINE)


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
    """A fragment, the signals used and driven in or below it, and whether it has its own domain."""

    fragment: Any
    used: Any
    driven: Any
    defines_domain: bool
    children: list["_Node"]


def _defines_domain(fragment: Any, found: dict[int, bool]) -> bool:
    """Record for each fragment of the tree whether it or one below it defines a domain."""
    below = [_defines_domain(child, found) for child, _name, _source in fragment.subfragments]
    found[id(fragment)] = bool(fragment.domains) or any(below)
    return found[id(fragment)]


def _driven(fragment: Any) -> Any:
    """Return the signals that `fragment` itself drives."""
    driven = SignalSet()
    for statements in fragment.statements.values():
        driven.update(statements._lhs_signals())
    if isinstance(fragment, Instance):
        for value, kind in fragment.ports.values():
            if kind == "o":
                driven.update(value._lhs_signals())
    elif isinstance(fragment, MemoryInstance):
        for port in fragment._read_ports:
            driven.update(port._data._lhs_signals())
    elif isinstance(fragment, IOBufferInstance) and fragment.i is not None:
        driven.update(fragment.i._lhs_signals())
    return driven


def _tree(fragment: Any, lowered: Any, design: Any, defined: dict[int, bool]) -> _Node:
    pairs = zip(fragment.subfragments, lowered.subfragments, strict=True)
    children = [_tree(old[0], new[0], design, defined) for old, new in pairs]
    if isinstance(fragment, MemoryInstance) and not any(fragment._data._init._raw):
        # `ageha.gen.rtlil.clean` drops zeros, and Amaranth takes seconds to write them.
        fragment._data._init._raw = []
    driven = _driven(lowered)
    for child in children:
        driven.update(child.driven)
    used = design.fragments[lowered].used_signals
    return _Node(fragment, used, driven, defined[id(fragment)], children)


def _origin(fragment: Any) -> Any:
    """Return the object that describes `fragment` best: a component, else another class."""
    origins = [
        origin
        for origin in fragment.origins or ()
        if isinstance(origin, Elaboratable)
        and not isinstance(origin, Module | TransformedElaboratable)
    ]
    components = [origin for origin in origins if isinstance(origin, wiring.Component)]
    return next(iter(components or origins), None)


def _border(parent: _Node, node: _Node) -> Ports:
    """Return the ports of `node` as a module of its own.

    Those are the members of its signature, clocks and resets, and what else crosses its border,
    such as the signal of a `ResetInserter`.
    """
    origin = _origin(node.fragment)
    candidates = component_ports(origin) if isinstance(origin, wiring.Component) else {}
    for domain in node.fragment.domains.values():
        for signal in (domain.clk, domain.rst):
            if signal is not None and signal in node.used:
                candidates.setdefault(signal.name, (signal, PortDirection.Input))
    ports: Ports = {}
    known = SignalSet()
    for name, (signal, direction) in candidates.items():
        if signal not in known:
            ports[name] = (signal, direction)
            known.add(signal)
    for signal in node.used:
        if signal in parent.used and signal not in known and len(signal) > 0:
            stem = name = re.sub(r"\W+", "_", signal.name).strip("_") or "signal"
            number = 1
            while name in ports:
                number += 1
                name = f"{stem}_{number}"
            output = signal in node.driven
            ports[name] = (signal, PortDirection.Output if output else PortDirection.Input)
    return ports


def _separate(node: _Node, stem: str, registry: _Registry) -> None:
    """Replace what can be a module of its own below `node` by instances."""
    replaced = []
    places = zip(node.children, node.fragment.subfragments, strict=True)
    for child, (fragment, name, source) in places:
        if not isinstance(fragment, _SPECIAL):
            inner = _stem(fragment, name, stem)
            if child.defines_domain:
                _separate(child, inner, registry)
            else:
                ports = _border(node, child)
                module = _convert(child, ports, inner, registry)
                fragment = _instance(module, ports, child, name)
        replaced.append((fragment, name, source))
    node.fragment.subfragments[:] = replaced


def _stem(fragment: Any, name: str | None, parent: str) -> str:
    origin = _origin(fragment)
    if origin is not None:
        return module_name(type(origin).__name__)
    leaf = re.sub(r"(_?\d+)+$", "", name or "part")
    return module_name(f"{parent}_{leaf}")


def _instance(module: str, ports: Ports, node: _Node, name: str | None) -> Any:
    """Return an instance of `module`; signals that are ports of it are named after it."""
    origin = _origin(node.fragment)
    if name is not None and isinstance(origin, wiring.Component):
        for port, (signal, _direction) in component_ports(origin).items():
            signal.name = f"{name}_{port}"
    connections = [
        ("i" if direction is PortDirection.Input else "o", port, signal)
        for port, (signal, direction) in ports.items()
    ]
    return Instance(module, *connections)


def _convert(node: _Node, ports: Ports, stem: str, registry: _Registry) -> str:
    """Add the modules of `node` to the registry; return the name of its own."""
    _separate(node, stem, registry)
    for port, (signal, _direction) in ports.items():
        signal.name = port
    text, _names = rtlil.convert_fragment(
        node.fragment, ports, _ROOT, emit_src=False, propagate_domains=False
    )
    names: dict[str, str] = {}
    # Amaranth writes a module before those that it instantiates.
    for path, body in reversed(split(clean(text))):
        body = _REFERENCE.sub(lambda match: f"{match[1]}\\{names[match[2]]}", body)
        leaf = path.removeprefix(_ROOT).replace(".", "_")
        names[path] = registry.add(module_name(f"{stem}{leaf}"), body)
    return names[_ROOT]


@contextlib.contextmanager
def _rare_collection() -> Iterator[None]:
    """Collect garbage rarely: a design is millions of objects, and next to none become garbage."""
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


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
    with _rare_collection():
        return _convert_all(component, name)


def _convert_all(component: wiring.Component, name: str | None) -> tuple[str, str]:
    ports = component_ports(component)
    fragment = Fragment.get(component, None)
    defined: dict[int, bool] = {}
    _defines_domain(fragment, defined)
    design: Design = fragment.prepare(ports)
    root = _tree(fragment, design.fragment, design, defined)
    for domain in fragment.domains.values():
        for signal in (domain.clk, domain.rst):
            if signal is not None and signal in root.used and signal not in root.driven:
                ports[signal.name] = (signal, PortDirection.Input)
    registry = _Registry()
    top = _convert(root, ports, name or module_name(type(component).__name__), registry)
    modules = [f"module \\{module}\n{body}end\n" for module, body in registry.bodies.items()]
    return top, "\n".join(modules)
