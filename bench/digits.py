"""The workload `digits`: a small FABNet classifies handwritten digits, pixels as tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..sw.driver import Device, load_program
from ..sw.fabnet_compiler import compile_fabnet
from ..sw.fabnet_reference import accuracy, classify
from ..sw.frontend.digits import PIXEL_MAXIMUM, load_digits
from ..sw.frontend.fabnet import digits_model
from ..sw.program import Program

TITLE = "FABNet on handwritten digits"

CALIBRATION_IMAGES = 64
"""Training images from which the fractions of all results are chosen."""


@dataclass(frozen=True)
class Classification:
    """What a device makes of some images.

    Parameters
    ----------
    logits : int16 [images, classes]
    """

    logits: NDArray[np.int16]

    def accuracy(self, labels: NDArray[np.integer]) -> float:
        """Return the share of images that get their label."""
        return float((self.logits.argmax(axis=-1) == labels).mean())


def compile_digits(config: AcceleratorConfig, dump_after: str | None = None) -> Program:
    """Return the program of the trained butterfly model; errors as `compile_fabnet`."""
    calibration = load_digits().train_pixels[:CALIBRATION_IMAGES] / PIXEL_MAXIMUM
    return compile_fabnet(digits_model(), config, calibration, dump_after=dump_after)


class DigitsWorkload:
    """The trained model, compiled for a machine, and the test images.

    Parameters
    ----------
    config : AcceleratorConfig
    images : int
        How many test images to use, from the first on.

    Raises
    ------
    CompileError
        If the machine cannot run the model.
    """

    def __init__(self, config: AcceleratorConfig, images: int) -> None:
        self.config = config
        data = load_digits()
        self.labels = data.test_labels[:images]
        self.numbers = data.test_pixels[:images] / PIXEL_MAXIMUM
        self.model, self.twin = digits_model("fabnet"), digits_model("dense")
        self.program = compile_digits(config)

    def inputs(self, image: int) -> Mapping[str, NDArray]:
        """Return the input tensor of one image."""
        return {"input": self.program.inputs[0].from_float(self.numbers[image][:, None])}

    def run(self, device: Device, progress: Callable[[float], None]) -> Classification:
        """Classify all images on `device`; errors as `sw.driver.run_program`.

        Parameters
        ----------
        device : Device
        progress : callable
            Is told the number of images done.
        """
        loaded = load_program(device, self.program)
        logits = []
        for image in range(len(self.labels)):
            logits.append(loaded.run(self.inputs(image)).outputs["output"][0])
            progress(image + 1)
        return Classification(np.stack(logits))

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """The float model's logits, [images, classes]."""
        return classify(self.model, self.numbers)["logits"]

    def figures(self, found: Classification) -> dict[str, float | int]:
        """Return accuracies on the images, parameters and multiply-adds an image."""
        cost, twin = self.model.cost, self.twin.cost
        return {
            "images": len(self.labels),
            "accuracy": found.accuracy(self.labels),
            "float_accuracy": accuracy(self.model, self.numbers, self.labels),
            "dense_float_accuracy": accuracy(self.twin, self.numbers, self.labels),
            "parameters": cost.parameters,
            "dense_parameters": twin.parameters,
            "multiply_adds": cost.multiply_adds,
            "dense_multiply_adds": twin.multiply_adds,
        }
