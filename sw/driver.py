"""Run programs on a device: the same calls for the golden model, simulated RTL and hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..hw.isa import MAGIC, VERSION, ErrorCode
from ..hw.registers import COUNTERS, Register, register_map
from .program import Program
from .tensor import Tensor

WINDOW_ALIGNMENT = 4096
"""Bytes that the physical address of a window is a multiple of."""


ADDRESS_MEANINGS = {
    ErrorCode.ILLEGAL_OPCODE: "the opcode",
    ErrorCode.ILLEGAL_OPERAND: "offset in the window of a transfer, otherwise 0",
    ErrorCode.SCRATCHPAD_RANGE: "the last word that an operand takes of the scratchpad",
    ErrorCode.WINDOW: "the last byte of a transfer, or the program's first, in its window",
    ErrorCode.READ_SLAVE_ERROR: "the burst's address in memory",
    ErrorCode.READ_DECODE_ERROR: "the burst's address in memory",
    ErrorCode.WRITE_SLAVE_ERROR: "the burst's address in memory",
    ErrorCode.WRITE_DECODE_ERROR: "the burst's address in memory",
    ErrorCode.SEMAPHORE_OVERFLOW: "the semaphore",
    ErrorCode.WATCHDOG: "mask of the units that have unfinished instructions",
    ErrorCode.PROGRAM_HEADER: "the wrong byte of the header",
    ErrorCode.COMPRESSED_OPERAND: "scratchpad word at which the malformed strip or tile begins",
}
"""What the address of an error is, for each code that has one."""


class DriverError(RuntimeError):
    """The device is no accelerator, is not the program's, or does not answer."""


class DeviceError(RuntimeError):
    """The device stopped a program.

    Parameters
    ----------
    code : ErrorCode
        Why.
    index : int
        The instruction that failed.
    address : int
        What failed, see `ADDRESS_MEANINGS`.
    """

    def __init__(self, code: ErrorCode, index: int, address: int) -> None:
        meaning = ADDRESS_MEANINGS[code]
        super().__init__(f"{code.name} in instruction {index} at {address:#x} ({meaning})")
        self.code = code
        self.index = index
        self.address = address


class Device(Protocol):
    """What the driver needs of a device.

    Attributes
    ----------
    config : AcceleratorConfig
        Parameters of the machine.
    memory_base, memory_bytes : int
        Physical address and size of the memory that the driver may hand out.
    """

    config: AcceleratorConfig
    memory_base: int
    memory_bytes: int

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte `offset`."""

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte `offset`."""

    def read_memory(self, address: int, size: int) -> bytes:
        """Return `size` bytes from physical `address` on, as the machine wrote them."""

    def write_memory(self, address: int, data: bytes) -> None:
        """Write `data` at physical `address`, visible to the machine."""

    def wait_for_interrupt(self, timeout: float) -> bool:
        """Wait until the interrupt is high; return False after `timeout` seconds without."""


@dataclass(frozen=True)
class Result:
    """What a run gives.

    Parameters
    ----------
    outputs : mapping of str to array
        The program's output tensors.
    counters : mapping of str to int
        `hw.registers.COUNTERS` by name.
    """

    outputs: Mapping[str, NDArray]
    counters: Mapping[str, int]


class Registers:
    """Registers of a device by name.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._map: dict[str, Register] = {
            register.name: register for register in register_map(device.config)
        }

    def read(self, name: str) -> int:
        """Return the value of register `name`."""
        return self._device.read_register(self._map[name].offset)

    def write(self, name: str, value: int) -> None:
        """Write register `name`."""
        self._device.write_register(self._map[name].offset, value)

    def read_long(self, name: str) -> int:
        """Return the 64 bits of `name`\\ ``_low`` and `name`\\ ``_high``."""
        return self.read(f"{name}_low") | self.read(f"{name}_high") << 32

    def write_long(self, name: str, value: int) -> None:
        """Write `name`\\ ``_low`` and `name`\\ ``_high``."""
        self.write(f"{name}_low", value & 0xFFFF_FFFF)
        self.write(f"{name}_high", value >> 32)

    def mask(self, name: str, field_name: str) -> int:
        """Return the bits of a field of register `name`."""
        return self._map[name].field(field_name).mask


def identify(device: Device) -> None:
    """Check that `device` is an accelerator with the parameters that it claims.

    Raises
    ------
    DriverError
        Naming the register, its value and the expected one.
    """
    registers = Registers(device)
    expected = {"identity": MAGIC, "version": VERSION, "parameter_hash": device.config.hash}
    for name, value in expected.items():
        found = registers.read(name)
        if found != value:
            raise DriverError(f"{name} of the device is {found:#010x}, not {value:#010x}")


@dataclass
class LoadedProgram:
    """A program whose windows are open and whose constants are in the memory of a device.

    Make one with `load_program`.

    Parameters
    ----------
    device : Device
    program : Program
    bases : tuple of int
        Physical address of each window.
    """

    device: Device
    program: Program
    bases: tuple[int, ...]
    registers: Registers = field(init=False)

    def __post_init__(self) -> None:
        self.registers = Registers(self.device)

    def run(
        self,
        inputs: Mapping[str, NDArray],
        *,
        timeout: float = 600.0,
        watchdog: int = 1_000_000,
    ) -> Result:
        """Write `inputs`, run the program and read its outputs.

        Parameters
        ----------
        inputs : mapping of str to array
            Every input tensor of the program, with its shape and dtype.
        timeout : float
            Seconds to wait.
        watchdog : int
            Cycles without progress after which the machine stops by itself; 0 turns this off.

        Raises
        ------
        DeviceError
            If the machine reports an error; it is ready for the next program all the same.
        DriverError
            If inputs are missing or unknown, or the device does not answer in time.
        TensorError
            If an input has another shape or dtype.
        """
        self.write_inputs(inputs)
        self.start(watchdog)
        if not self.device.wait_for_interrupt(timeout):
            self.reset()
            raise DriverError(f"no answer from the device in {timeout:g} s")
        self._acknowledge()
        self._raise_error()
        outputs = {tensor.name: self.read_tensor(tensor) for tensor in self.program.outputs}
        return Result(outputs, self.counters())

    def write_inputs(self, inputs: Mapping[str, NDArray]) -> None:
        """Write `inputs` to the memory of the device; errors as `run`."""
        tensors = {tensor.name: tensor for tensor in self.program.inputs}
        if set(inputs) != set(tensors):
            raise DriverError(
                f"inputs must be {', '.join(tensors) or 'none'}, not {', '.join(inputs) or 'none'}"
            )
        for name, tensor in tensors.items():
            for offset, data in tensor.pack(inputs[name]):
                self.device.write_memory(self.bases[tensor.window] + offset, data)

    def read_tensor(self, tensor: Tensor) -> NDArray:
        """Return `tensor` as it is in the memory of the device."""
        address = self.bases[tensor.window] + tensor.offset
        return tensor.unpack(self.device.read_memory(address, tensor.size))

    def counters(self) -> dict[str, int]:
        """Return the counters of the last run by name."""
        return {counter.name: self.registers.read_long(counter.name) for counter in COUNTERS}

    def reset(self) -> None:
        """Abandon what runs and forget errors; windows stay open.

        Raises
        ------
        DriverError
            If the machine does not come to rest.
        """
        request = self.registers.mask("soft_reset", "request")
        self.registers.write("soft_reset", request)
        for _ in range(100_000):
            if not self.registers.read("soft_reset") & request:
                return
        raise DriverError("the device does not finish a soft reset")

    def start(self, watchdog: int) -> None:
        """Start the program and return at once; `watchdog` as in `run`."""
        registers = self.registers
        window, offset = self.program.code_address
        registers.write_long("program_address", offset | window << 56)
        registers.write("program_length", self.program.instructions)
        registers.write("watchdog", watchdog)
        registers.write("global_interrupt_enable", 1)
        registers.write("interrupt_enable", registers.mask("interrupt_enable", "done"))
        registers.write("control", registers.mask("control", "start"))

    def _acknowledge(self) -> None:
        registers = self.registers
        registers.write("interrupt_status", registers.read("interrupt_status"))
        registers.read("control")

    def _raise_error(self) -> None:
        code = self.registers.read("error_code")
        if not code:
            return
        index = self.registers.read("error_index")
        address = self.registers.read_long("error_address")
        self.reset()
        raise DeviceError(ErrorCode(code), index, address)


def _place_windows(device: Device, program: Program) -> tuple[int, ...]:
    bases = []
    address = device.memory_base
    for window in program.windows:
        address = -(-address // WINDOW_ALIGNMENT) * WINDOW_ALIGNMENT
        bases.append(address)
        address += window.size
    available = device.memory_base + device.memory_bytes
    if address > available:
        raise DriverError(
            f"the windows of the program take {address - device.memory_base} bytes, "
            f"of {device.memory_bytes} bytes of memory"
        )
    return tuple(bases)


def _open_windows(registers: Registers, program: Program, bases: tuple[int, ...]) -> None:
    for index in range(program.config.controller.windows):
        is_open = index < len(program.windows)
        window = program.windows[index] if is_open else None
        registers.write_long(f"window{index}_base", bases[index] if is_open else 0)
        registers.write_long(f"window{index}_size", window.size if window else 0)
        flags = 0
        if window:
            name = f"window{index}_flags"
            flags |= registers.mask(name, "readable") if window.readable else 0
            flags |= registers.mask(name, "writable") if window.writable else 0
        registers.write(f"window{index}_flags", flags)


def load_program(device: Device, program: Program) -> LoadedProgram:
    """Open the windows of `program` on `device` and write its code and constants.

    Raises
    ------
    DriverError
        If the device is no accelerator or its memory is too small.
    ProgramError
        If the program is for other parameters.
    """
    program.check(device.config)
    identify(device)
    bases = _place_windows(device, program)
    loaded = LoadedProgram(device, program, bases)
    _open_windows(loaded.registers, program, bases)
    window, offset = program.code_address
    device.write_memory(bases[window] + offset, program.image())
    for segment in program.segments:
        device.write_memory(bases[segment.window] + segment.offset, segment.data)
    return loaded


def run_program(
    device: Device, program: Program, inputs: Mapping[str, NDArray], *, timeout: float = 600.0
) -> Result:
    """Load `program` on `device` and run it once; errors as `load_program` and `LoadedProgram.run`.

    Parameters
    ----------
    device : Device
    program : Program
    inputs : mapping of str to array
    timeout : float
        Seconds to wait.
    """
    return load_program(device, program).run(inputs, timeout=timeout)
