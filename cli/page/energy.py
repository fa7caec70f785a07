"""Where the energy of a run went: the page's section."""

from html import escape

from ...bench.record import Case
from ...hw.config import AcceleratorConfig
from ...sw.energy import EnergyTable, measure_energy


def energy_section(case: Case, config: AcceleratorConfig, table: EnergyTable) -> str:
    """Return the energy of each part, in all and times delay; nothing without counters."""
    if not case.cycles or not case.counters:
        return ""
    energy = measure_energy(case.counters, config, table)
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value / 1e6:,.2f}</td>"
        f"<td>{value / max(energy.total, 1e-30):.1%}</td></tr>"
        for name, value in energy.parts.items()
    )
    return (
        '<section><h2>Energy</h2><p class="soft">Events that the hardware counted times the '
        f"energies of {escape(table.title)}: {energy.total / 1e6:,.2f} µJ in "
        f"{energy.cycles:,} cycles, an energy-delay product of "
        f"{energy.delay_product:.4g} pJ·cycles. Wires, control and leakage are not in it unless "
        'the table has an energy a cycle.</p><div class="scroll"><table class="figures">'
        f"<thead><tr><th>part</th><th>µJ</th><th></th></tr></thead><tbody>{rows}</tbody></table>"
        "</div></section>"
    )
