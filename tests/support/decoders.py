"""Runs of small decoders: a prompt, then token by token against the cache that it left."""

from dataclasses import dataclass

import numpy as np

from ageha.bench.execute import memory_bytes
from ageha.hw.config import AcceleratorConfig
from ageha.sw.decoder_cache import HostCache
from ageha.sw.decoder_compiler import compile_decoder
from ageha.sw.decoder_quantise import (
    calibrate_decoder,
    calibration_tokens,
    quantise_decoder,
)
from ageha.sw.decoder_reference import decoder, embed
from ageha.sw.driver import run_program
from ageha.sw.frontend.llama import LlamaModel
from ageha.verif.devices.golden import GoldenDevice


@dataclass
class Session:
    """A sequence of random tokens that goes through some layers, piece by piece."""

    model: LlamaModel
    config: AcceleratorConfig
    layers: tuple[int, ...]
    length: int
    seed: int = 1

    def __post_init__(self):
        vocabulary = self.model.config.vocabulary
        tokens = np.random.default_rng(self.seed).integers(0, vocabulary, self.length)
        self.x = embed(self.model, tokens)
        self.expected, _ = decoder(self.model, self.x, self.layers)
        self.ranges = calibrate_decoder(self.model, self.layers, calibration_tokens(self.model))
        self.quantised = quantise_decoder(self.model, self.layers, self.ranges)
        self.cache = HostCache()
        self.found = []

    def compile(self, tokens, **options):
        """Return the program of the next `tokens` tokens, and its inputs."""
        past = self.cache.tokens
        options |= {"quantised": self.quantised}
        program = compile_decoder(self.model, self.config, tokens, past, self.layers, **options)
        x = program.inputs[0].from_float(self.x[past : past + tokens])
        return program, {"input": x, **self.cache.tensors}

    def advance(self, tokens, seed=None, **options):
        """Run the next `tokens` tokens on the golden model; return program and outputs."""
        program, inputs = self.compile(tokens, **options)
        device = GoldenDevice(program.config, memory_bytes(program), seed=seed)
        outputs = run_program(device, program, inputs).outputs
        self.cache = self.cache.append(outputs)
        self.found.append(program.outputs[0].to_float(outputs["output"]))
        return program, outputs

    def cosines(self):
        """Return the cosine to the float model of every token so far."""
        found = np.concatenate(self.found)
        expected = self.expected[: len(found)]
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        return np.sum(found * expected, axis=1) / norms
