"""Instruction layouts: the one source of the decoder, the assembler and the documentation.

An instruction is a little-endian word of 512 bits, one layout an opcode, and every layout
begins with a `Header`. Scratchpad addresses and pitches count words of eight bytes. DRAM is
addressed by a window that the host has opened and a byte offset in it (`DramAddress`), so that
programs do not depend on where their data lies; offsets and strides are multiples of an AXI beat.
"""

from collections.abc import Mapping

from amaranth import signed
from amaranth.lib import data
from amaranth.lib import enum as hw_enum

from .config import INSTRUCTION_BYTES

INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES

VERSION = 3
"""Version of the instruction set; a program carries it and a device refuses another."""


class Unit(hw_enum.Enum, shape=3):
    """The units that execute instructions; the value is the unit's index everywhere."""

    LOAD = 0
    ARRAY = 1
    VECTOR = 2
    STORE = 3
    BUTTERFLY = 4
    CONTROLLER = 7


UNITS = (Unit.LOAD, Unit.ARRAY, Unit.VECTOR, Unit.STORE, Unit.BUTTERFLY)
"""The units that have a queue, in the order of their indices."""


class Opcode(hw_enum.Enum, shape=8):
    """Operation codes. Zero is illegal, so that empty memory stops the machine."""

    END = 0x01
    LOAD = 0x10
    MATMUL = 0x20
    QUANTISE = 0x30
    SOFTMAX = 0x31
    NORMALISE = 0x32
    MULTIPLY = 0x33
    BUTTERFLY = 0x38
    STORE = 0x40


class Flow(hw_enum.Enum, shape=4):
    """Dataflows of the array; `docs/dataflows.md` says what each keeps, streams and skips.

    In an input stationary product B holds the inputs and A the weights.
    """

    DENSE_OUTPUT_STATIONARY = 0
    DENSE_WEIGHT_STATIONARY = 1
    DENSE_INPUT_STATIONARY = 2
    SPARSE_OUTPUT_STATIONARY = 3
    COLUMN_SPARSE_OUTPUT_STATIONARY = 4
    SPARSE_WEIGHT_STATIONARY = 5
    SPARSE_INPUT_STATIONARY = 6


STATIONARY_FLOWS = (
    Flow.DENSE_WEIGHT_STATIONARY,
    Flow.DENSE_INPUT_STATIONARY,
    Flow.SPARSE_WEIGHT_STATIONARY,
    Flow.SPARSE_INPUT_STATIONARY,
)
"""Flows in which a tile of B stays and rows of A stream past it."""

SPARSE_OUTPUT_FLOWS = (Flow.SPARSE_OUTPUT_STATIONARY, Flow.COLUMN_SPARSE_OUTPUT_STATIONARY)
"""Output stationary flows whose tiles are walked n inside m and whose B is compressed."""

COMPRESSED_A_FLOWS = (Flow.SPARSE_INPUT_STATIONARY,)
"""Flows whose operand A is compressed."""

COMPRESSED_B_FLOWS = (*SPARSE_OUTPUT_FLOWS, Flow.SPARSE_WEIGHT_STATIONARY)
"""Flows whose operand B is compressed."""


class Activation(hw_enum.Enum, shape=4):
    """Functions that QUANTISE and MULTIPLY apply to X first."""

    IDENTITY = 0
    RELU = 1
    GELU = 2
    SILU = 3


TABULATED_ACTIVATIONS = (Activation.GELU, Activation.SILU)
"""Activations by a table, which takes 0 to 15 fraction bits."""


class Norm(hw_enum.Enum, shape=1):
    """Kinds of NORMALISE."""

    LAYER = 0
    ROOT_MEAN_SQUARE = 1


class ButterflyMode(hw_enum.Enum, shape=2):
    """What the factors of a BUTTERFLY are."""

    REAL = 0
    """Free 2 x 2 matrices on real numbers."""
    FOURIER = 1
    INVERSE_FOURIER = 2
    """Without the division by the number of points."""


class Axis(hw_enum.Enum, shape=1):
    """The axis of a matrix [tokens, hidden] along which a BUTTERFLY transforms."""

    HIDDEN = 0
    TOKENS = 1


class ErrorCode(hw_enum.Enum, shape=8):
    """Why the machine stopped; the registers add instruction index and address."""

    NONE = 0
    ILLEGAL_OPCODE = 1
    ILLEGAL_OPERAND = 2
    SCRATCHPAD_RANGE = 3
    WINDOW = 4
    READ_SLAVE_ERROR = 5
    READ_DECODE_ERROR = 6
    WRITE_SLAVE_ERROR = 7
    WRITE_DECODE_ERROR = 8
    SEMAPHORE_OVERFLOW = 9
    WATCHDOG = 10
    PROGRAM_HEADER = 11
    COMPRESSED_OPERAND = 12


class Header(data.Struct):
    """What every instruction begins with.

    `wait` and `signal` are masks over the semaphores: the instruction starts when all of `wait`
    are above zero and takes one from each; it adds one to each of `signal` when all that it
    writes is visible to the other units.
    """

    opcode: Opcode
    reserved: 24
    wait: 32
    signal: 32


class DramAddress(data.Struct):
    """A byte in DRAM: an offset in one of the windows that the host has opened."""

    offset: 48
    reserved: 8
    window: 8


class End(data.Struct):
    """Finish the program once every unit is idle."""

    header: Header


class Load(data.Struct):
    """Copy `rows` rows of `row_words` words from DRAM to the scratchpad."""

    header: Header
    rows: 16
    row_words: 16
    dram_address: DramAddress
    dram_stride: 32
    address: 32
    pitch: 16


class Store(data.Struct):
    """Copy `rows` rows of `row_words` words from the scratchpad to DRAM."""

    header: Header
    rows: 16
    row_words: 16
    dram_address: DramAddress
    dram_stride: 32
    address: 32
    pitch: 16


class Matmul(data.Struct):
    """Int16 ``Y[m, n]`` = int8 ``A[m, k]`` times int8 ``B[n, k]`` transposed, requantised.

    ``Y = saturate(round(A Bᵀ row_scale column_scale 2^fraction) + biases + residual)``.
    Row and column scales are vectors of `ScaleWord`, one word a row or column.
    `a_transposed` says that A lies in the scratchpad as ``[k, m]``, `b_transposed` that B lies
    as ``[k, n]``, `y_transposed` that Y is written as ``[n, m]``. The residual is int16,
    stored as Y is, and may be Y itself. The compressed operand of a
    sparse flow is `compressed_words` words from its address on; its pitch and its
    orientation mean nothing. If `wide`, an element of A has 15 bits in two planes,
    ``128 high + low``: its upper 8 bits, signed, lie at `a_address`, the lower 7 `plane_words`
    words further. A wide product is dense output stationary and its A is not transposed.
    """

    header: Header
    flow: Flow
    a_transposed: 1
    b_transposed: 1
    residual_enable: 1
    y_transposed: 1
    fraction: signed(8)
    m: 16
    n: 16
    k: 16
    a_address: 32
    a_pitch: 16
    b_address: 32
    b_pitch: 16
    row_scale_address: 32
    column_scale_address: 32
    y_address: 32
    y_pitch: 16
    residual_address: 32
    residual_pitch: 16
    compressed_words: 32
    plane_words: 16
    wide: 1


class Quantise(data.Struct):
    """Int8 ``Y`` and a scale a row from int16 ``X``, after an activation function.

    `x_fraction` is the number of fraction bits of X. If `keep` is not 0, only the `keep` largest
    magnitudes of every 2^`log_group` elements are written, as slots: Y is a compressed operand
    whose tiles follow each other, and `y_pitch` means nothing. `docs/activations.md` has more.
    """

    header: Header
    activation: Activation
    reserved: 4
    x_fraction: signed(8)
    rows: 16
    columns: 16
    x_address: 32
    x_pitch: 16
    y_address: 32
    y_pitch: 16
    scale_address: 32
    padding: 32
    keep: 5
    log_group: 3


class Softmax(data.Struct):
    """Probabilities of each row of int16 ``X``, exponents of two with `x_fraction` bits.

    With one plane Y is int8, 7 bits of probability; with two, a second int8 plane
    `plane_words` words after the first holds the 7 bits below. The row's scale word divides by
    the sum of all probabilities, in units of the last plane. With `causal` row r takes part with
    its first `first_length` + r elements only (at least one; columns beyond do not exist), and the
    rest have probability zero; without it `first_length` means nothing.
    One plane may be compressed with `keep` and `log_group` as in QUANTISE.
    """

    header: Header
    two_planes: 1
    causal: 1
    reserved: 6
    x_fraction: signed(8)
    rows: 16
    columns: 16
    x_address: 32
    x_pitch: 16
    y_address: 32
    y_pitch: 16
    scale_address: 32
    plane_words: 16
    first_length: 16
    keep: 5
    log_group: 3


class Normalise(data.Struct):
    """Layer or root-mean-square normalisation of int16 rows, in place or not.

    Gain (int16, 12 fraction bits) and bias (int16, `y_fraction` bits) are two rows at
    `parameter_address`, `parameter_pitch` words apart. `epsilon` is in units of
    ``2^(-2 x_fraction)``.
    """

    header: Header
    norm: Norm
    reserved: 7
    y_fraction: signed(8)
    rows: 16
    columns: 16
    x_address: 32
    x_pitch: 16
    y_address: 32
    y_pitch: 16
    parameter_address: 32
    parameter_pitch: 16
    epsilon: 32


class Multiply(data.Struct):
    """Int16 ``Y = saturate(round(f(X) W 2^(y_fraction - x_fraction - w_fraction)))``.

    f is the activation; X has `x_fraction` fraction bits, W `w_fraction` and Y `y_fraction`.
    ``x_fraction + w_fraction - y_fraction`` is 0 to 29. W has the shape of X, or is one row for
    all rows if `w_pitch` is zero. If `complex`, elements 2i and 2i + 1 of a row are real and
    imaginary part of a number, Y is the complex product, the number of columns is even and the
    activation IDENTITY. Y may be X or W, row for row.
    """

    header: Header
    activation: Activation
    complex: 1
    reserved: 3
    x_fraction: signed(8)
    rows: 16
    columns: 16
    x_address: 32
    x_pitch: 16
    y_address: 32
    y_pitch: 16
    w_address: 32
    w_pitch: 16
    w_fraction: signed(8)
    y_fraction: signed(8)


class Butterfly(data.Struct):
    """Butterfly product or Fourier transform of int16 vectors, `stages` factors in order.

    A vector is `blocks` transforms of 2^`log_points` points one after the other: a row of the
    matrix on the axis HIDDEN, a column on TOKENS; `vectors` of them. Factor i combines points
    at distance 2^(`log_stride` + i), or 2^(`log_stride` - i) if `decreasing`. With
    `bit_reversed` each block of X is taken in bit-reversed order. A complex matrix is two int16
    matrices, the imaginary parts `plane_words` words after the real ones. X has no
    imaginary parts if `x_real`, Y gets none if `y_real`, and neither has any in mode REAL.
    Points of X from `x_points` on count as zero, points of Y from `y_points` on are not written;
    zero means all.

    The first pass reads X, the last one writes Y, what is between lies at `work_address` with
    the pitch of Y. X is ``integer · 2^x``, where x is the exponent of the block of vectors at
    `exponent_address` if `x_blocks`, else 0, plus `exponent`; every number of X leaves `x_headroom`
    bits unused. Y gets the exponent `y_exponent` and is added to what is there if `accumulate`, or
    it gets the best exponent of each block of vectors, which is written to
    `y_exponent_address` if `y_blocks`. `growths` has four bits a factor, the first one lowest.
    `docs/butterfly.md` has the details.
    """

    header: Header
    mode: ButterflyMode
    axis: Axis
    decreasing: 1
    bit_reversed: 1
    x_real: 1
    y_real: 1
    accumulate: 1
    x_blocks: 1
    y_blocks: 1
    reserved: 2
    log_points: 4
    log_stride: 4
    stages: 4
    plane_words: 24
    exponent: signed(8)
    y_exponent: signed(8)
    vectors: 16
    blocks: 16
    x_points: 16
    y_points: 16
    x_address: 32
    x_pitch: 16
    y_address: 32
    y_pitch: 16
    work_address: 32
    coefficient_address: 32
    exponent_address: 32
    y_exponent_address: 32
    x_headroom: signed(8)
    growths: 52


class BlockExponent(data.Struct):
    """The exponent of a block of vectors, one word a block.

    A number of the block is ``integer · 2^exponent``; all magnitudes leave `headroom` bits unused.
    """

    exponent: signed(16)
    headroom: signed(8)
    reserved: 8
    padding: 32


class ScaleWord(data.Struct):
    """One word of a scale vector: the scale is ``mantissa · 2^-exponent``.

    `bias` is in units of the output of the product that uses the vector.
    """

    mantissa: 16
    exponent: signed(8)
    reserved: 8
    bias: signed(16)
    padding: 16


class ProgramHeader(data.Struct):
    """The first 64 bytes of a program in DRAM; the instructions follow.

    The controller refuses a wrong magic, version or parameter hash, or a length of zero.
    `checksum` is the CRC-32 of the instructions, which the driver verifies.
    """

    magic: 32
    version: 32
    parameter_hash: 32
    instructions: 32
    checksum: 32


MAGIC = int.from_bytes(b"AGEH", "little")
"""Identifies programs and the register file."""


LAYOUTS: Mapping[Opcode, type[data.Struct]] = {
    Opcode.END: End,
    Opcode.LOAD: Load,
    Opcode.MATMUL: Matmul,
    Opcode.QUANTISE: Quantise,
    Opcode.SOFTMAX: Softmax,
    Opcode.NORMALISE: Normalise,
    Opcode.MULTIPLY: Multiply,
    Opcode.BUTTERFLY: Butterfly,
    Opcode.STORE: Store,
}
"""The layout of each opcode."""

UNIT_OF: Mapping[Opcode, Unit] = {
    Opcode.END: Unit.CONTROLLER,
    Opcode.LOAD: Unit.LOAD,
    Opcode.MATMUL: Unit.ARRAY,
    Opcode.QUANTISE: Unit.VECTOR,
    Opcode.SOFTMAX: Unit.VECTOR,
    Opcode.NORMALISE: Unit.VECTOR,
    Opcode.MULTIPLY: Unit.VECTOR,
    Opcode.BUTTERFLY: Unit.BUTTERFLY,
    Opcode.STORE: Unit.STORE,
}
"""The unit that executes each opcode."""
