"""The workloads `bert-base` and `vit-base`: one encoder layer in their sizes, random weights."""

from dataclasses import dataclass

from ..hw.config import AcceleratorConfig
from ..sw.frontend.bert import BertModel
from ..sw.frontend.synthetic import synthetic_bert
from .minilm import Job
from .sample import SEED, sample_job

VOCABULARY = 256
POSITIONS = 512


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of an encoder.

    Parameters
    ----------
    hidden, heads, intermediate : int
        As in `BertConfig`.
    norm_first : bool
        Whether norms come first.
    lengths : tuple of int
        Tokens, unless the user has others in mind.
    """

    hidden: int
    heads: int
    intermediate: int
    norm_first: bool
    lengths: tuple[int, ...]


SHAPES = {
    "bert-base": EncoderShape(768, 12, 3072, norm_first=False, lengths=(128,)),
    "vit-base": EncoderShape(768, 12, 3072, norm_first=True, lengths=(197,)),
}
"""The sizes of each workload: Devlin et al., arXiv 1810.04805, and Dosovitskiy et al., arXiv
2010.11929, with 14 x 14 patches and the class token."""


def shape_model(workload: str, layers: int = 1) -> BertModel:
    """Return a model of so many layers in the sizes of `workload`."""
    shape = SHAPES[workload]
    return synthetic_bert(
        shape.hidden,
        shape.heads,
        shape.intermediate,
        layers,
        vocabulary=VOCABULARY,
        positions=POSITIONS,
        seed=SEED,
        norm_first=shape.norm_first,
    )


def shape_job(workload: str, length: int, config: AcceleratorConfig) -> Job:
    """Return what is to be run for `length` random tokens.

    Raises
    ------
    CompileError
        If the machine cannot run the layer.
    """
    return sample_job(shape_model(workload), workload, config, (0,), length)
