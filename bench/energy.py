"""Energy and energy-delay product of a run, as keys of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hw.config import AcceleratorConfig
from ..sw.energy import EnergyTable, measure_energy


def energy_figures(
    counters: Mapping[str, int], config: AcceleratorConfig, table: EnergyTable
) -> dict[str, Any]:
    """Return what a run took by the hardware's counters.

    Returns
    -------
    dict
        ``energy_pj``; ``edp``, picojoules times cycles; ``energy_parts``, picojoules a part of the
        machine.
    """
    energy = measure_energy(counters, config, table)
    return {
        "energy_pj": round(energy.total),
        "edp": round(energy.delay_product),
        "energy_parts": {name: round(value) for name, value in energy.parts.items()},
    }


def improvement(found: float, reference: float) -> float:
    """Return the share of `reference` that `found` saves."""
    return round(1 - found / reference, 4)
