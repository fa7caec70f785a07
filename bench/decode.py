"""The workloads `decode` and `prefill`: a token against a cache of many, or a whole prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..sw.decoder_cache import HostCache
from ..sw.decoder_compiler import check_model, compile_decoder
from ..sw.decoder_quantise import (
    QuantisedDecoderLayer,
    calibrate_decoder,
    calibration_tokens,
    equalise,
    quantise_decoder,
)
from ..sw.decoder_reference import LayerCache, decoder, embed
from ..sw.frontend.llama import LlamaModel, load
from ..sw.frontend.synthetic_llama import synthetic_llama
from ..sw.program import Program
from ..verif.devices.library import MemorySettings
from .execute import Execution, run_golden, run_rtl
from .measure import measure
from .record import Case

LENGTHS = (128, 256, 512, 1024)
"""Tokens in the cache, unless the user has others in mind."""

PROMPTS = (16,)
"""Tokens of a prompt, unless the user has others in mind."""

SEED = 1


def decode_model(folder: Path | None = None) -> LlamaModel:
    """Return the model in `folder`, or a layer with random weights in the sizes of TinyLlama-1.1B.

    Raises
    ------
    FrontendError
        If the model cannot be read.
    """
    if folder is not None:
        return load(folder)
    return synthetic_llama(
        hidden=2048, heads=32, key_heads=4, intermediate=5632, layers=1, seed=SEED
    )


@dataclass(frozen=True)
class DecodeJob:
    """One token to run.

    Parameters
    ----------
    name : str
    program : Program
    inputs : mapping of str to array
        The token and the caches.
    reference : float [1, hidden]
        What the float model gives.
    """

    name: str
    program: Program
    inputs: Mapping[str, NDArray]
    reference: NDArray[np.float64]


@dataclass(frozen=True)
class DecodeWorkload:
    """Layers of a decoder on a machine, with caches of random tokens.

    Parameters
    ----------
    config : AcceleratorConfig
    model : LlamaModel
    layers : tuple of int
    longest : int
        Most tokens that a cache will hold.
    title : str
        What it is called in reports.
    is_prompt : bool
        Whether all tokens are run at a time, against no cache.
    """

    config: AcceleratorConfig
    model: LlamaModel
    layers: tuple[int, ...]
    longest: int
    title: str = "decode"
    is_prompt: bool = False

    def __post_init__(self) -> None:
        check_model(self.model.config, self.layers)

    @cached_property
    def _equalised(self) -> tuple[LlamaModel, list[tuple[int, QuantisedDecoderLayer]]]:
        """The model with the keys and values of the machine, and its quantised layers."""
        model = self.model
        ranges = calibrate_decoder(model, self.layers, calibration_tokens(model))
        layers = list(model.layers)
        for index in self.layers:
            layers[index], _ = equalise(model.config, layers[index], ranges[index])
        return replace(model, layers=tuple(layers)), quantise_decoder(model, self.layers, ranges)

    @cached_property
    def _tokens(self) -> NDArray[np.float64]:
        """Input rows of random tokens, one more than the longest cache."""
        vocabulary = self.model.config.vocabulary
        generator = np.random.default_rng(SEED)
        return embed(self.model, generator.integers(0, vocabulary, self.longest + 1))

    @cached_property
    def _caches(self) -> list[LayerCache]:
        """What the float layers keep of all tokens but the last."""
        return decoder(self._equalised[0], self._tokens[:-1], self.layers)[1]

    def job(self, length: int) -> DecodeJob:
        """Return the program for one token after `length` ones, or for a prompt of so many.

        Raises
        ------
        CompileError
            If the machine cannot run it.
        """
        model, quantised = self._equalised
        past, tokens = (0, length) if self.is_prompt else (length, 1)
        program = compile_decoder(
            self.model, self.config, tokens, past, self.layers, quantised=quantised
        )
        caches = [LayerCache(item.keys[:past], item.values[:past]) for item in self._caches]
        x = self._tokens[past : past + tokens]
        kept = HostCache.from_float(model.config, quantised, caches).tensors if past else {}
        inputs = {"input": program.inputs[0].from_float(x), **kept}
        reference, _ = decoder(model, x, self.layers, caches)
        return DecodeJob(f"{self.title} S={length}", program, inputs, reference)


def run_decode(
    job: DecodeJob, settings: MemorySettings, library: Path | None, *, golden: bool = True
) -> Case:
    """Run `job` on the simulated Verilog of `library`, if given, and on the golden model.

    Errors as `sw.driver.run_program`.
    """
    expected: Execution | None = run_golden(job.program, job.inputs) if golden else None
    found = run_rtl(job.program, job.inputs, settings, library) if library else expected
    assert found is not None
    return measure(
        job.name,
        job.program,
        found,
        golden=expected if library else None,
        tokens=[f"token {job.program.metadata['past'] + row}" for row in range(len(job.reference))],
        reference=job.reference,
    )


def decode_record(case: Case, config: AcceleratorConfig) -> dict[str, Any]:
    """Return the figures of one token for other programs to read.

    Returns
    -------
    dict
        ``bench, preset, case, cycles, ideal_cycles, utilization, roofline_cycles, roofline_share,
        array_busy, bytes_moved, compulsory_bytes, predicted_cycles, cosine, mismatches``; the
        roofline is the time of the compulsory bytes on the bus, `roofline_share` its part of all
        cycles.
    """
    return {
        "bench": "attention",
        "preset": config.name,
        "case": case.name,
        "cycles": case.cycles,
        "ideal_cycles": case.ideal_cycles,
        "utilization": round(case.utilization, 4),
        "roofline_cycles": case.roofline_cycles,
        "roofline_share": round(case.roofline_cycles / case.cycles, 4) if case.cycles else 0.0,
        "array_busy": round(case.busy["array"] / max(1, case.cycles), 4),
        "bytes_moved": case.bytes_read + case.bytes_written,
        "compulsory_bytes": case.compulsory_bytes,
        "predicted_cycles": case.predicted_cycles,
        "cosine": round(case.mean_cosine or 0.0, 6),
        "mismatches": case.mismatches,
    }


def measure_decode(
    workload: DecodeWorkload, lengths: Sequence[int], settings: MemorySettings, library: Path
) -> list[tuple[dict[str, Any], Case]]:
    """Run one token against a cache of each of `lengths` tokens, on both devices.

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    cases = [run_decode(workload.job(length), settings, library) for length in lengths]
    return [(decode_record(case, workload.config), case) for case in cases]
