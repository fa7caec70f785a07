"""`ageha bench attention --workload decode|prefill`: a token against caches, or prompts."""

from collections.abc import Sequence
from typing import Any

from ...bench.decode import DecodeWorkload, decode_model, measure_decode
from ...bench.record import Case
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError
from ...sw.frontend.llama import LlamaConfig
from ...verif.devices.library import MemorySettings
from ..console import step
from ..errors import InputError, input_errors, machine_errors
from ..simulator import simulator


def check_lengths(lengths: Sequence[int], model: LlamaConfig) -> None:
    """Check that a token more than each of `lengths` is within the model's limit.

    Raises
    ------
    InputError
        Naming the length that is not.
    """
    for length in lengths:
        if not 0 <= length < model.maximum_tokens:
            raise InputError(
                f"--sequence must be from 0 to {model.maximum_tokens - 1}, the limit of the model "
                f"less one, not {length}"
            )


def bench_decode(
    lengths: Sequence[int],
    config: AcceleratorConfig,
    settings: MemorySettings,
    *,
    is_prompt: bool = False,
) -> list[tuple[dict[str, Any], Case]]:
    """Run one token after each of `lengths` tokens, or a prompt of so many.

    Raises
    ------
    InputError
        If a length is out of range, the machine cannot run the layer, or no simulator can be built.
    ResultError
        If a device stops.
    """
    with input_errors(CompileError), step("Making the model"):
        model = decode_model()
        check_lengths(lengths, model.config)
        if is_prompt and not min(lengths):
            raise InputError("--sequence must be at least 1 for a prompt, not 0")
        title = "prefill" if is_prompt else "decode"
        workload = DecodeWorkload(config, model, (0,), max(lengths), title, is_prompt)
    library = simulator(config)
    runs = []
    for length in lengths:
        with input_errors(CompileError), machine_errors(), step(f"Running {length} tokens"):
            runs += measure_decode(workload, [length], settings, library)
    return runs
