"""Broken inputs of the command line, each from a number: what a user gives by mistake.

`broken` writes the files to a folder and returns a command line that must be refused.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from breaker import MACHINE, Breaker
from broken_models import (
    CONFIG,
    absurd_architecture,
    absurd_config,
    broken_checkpoint,
    broken_graph,
    broken_json,
    broken_onnx_file,
    broken_tensor,
    write_bert,
)

from ageha.cli.main import main

# Programs


def broken_program(breaker):
    """A program file was changed on its way."""
    source, path = breaker.folder / "x.s", breaker.folder / "x.prog"
    source.write_text("LOAD signal=1 rows=4 row_words=8 dram_address=1:0x400 pitch=9\nEND wait=1\n")
    assert main(["asm", str(source), "-o", str(path), *MACHINE]) == 0
    contents = bytearray(path.read_bytes())
    kind = breaker.choose(("bit", "bit", "cut", "longer", "bytes", "empty", "text"))
    if kind == "bit":
        contents[breaker.place(len(contents))] ^= 1 << breaker.place(8)
    elif kind == "cut":
        contents = contents[: breaker.place(len(contents))]
    elif kind == "longer":
        contents += b"\0"
    elif kind == "bytes":
        start = breaker.place(len(contents) - 8)
        contents[start : start + 8] = breaker.generator.bytes(8)
    else:
        contents = breaker.text().encode() if kind == "text" else b""
    path.write_bytes(contents)
    out = ("-o", breaker.folder / "out")
    commands = (["disasm", path], ["simulate", path, *out], ["run", path, *out])
    return breaker.choose(commands)


def broken_assembly(breaker):
    """A line of assembly is none."""
    lines = [
        "JUMP",
        "LOAD rows",
        "LOAD rows=",
        "LOAD rows=one",
        "LOAD rows=-1",
        "LOAD rows=1 rows=2",
        "LOAD wait=0x1ffffffff",
        "LOAD dram_address=1",
        "LOAD dram_address=x:0",
        "STORE nothing=1",
        "END wait",
        "MATMUL m=99999999999999999999",
        breaker.text().strip("#; ") or "=",
    ]
    path = breaker.folder / "x.s"
    path.write_text(f"LOAD rows=1 row_words=1 dram_address=1:0\n{breaker.choose(lines)}\nEND\n")
    return ["asm", path, "-o", breaker.folder / "x.prog", *MACHINE]


# Options


def wrong_option(breaker):
    """An option has a value that it cannot have."""
    folder = breaker.folder / "model"
    write_bert(folder)
    out = ("-o", breaker.folder / "out")
    compiled = ("compile", folder, *out, *MACHINE)
    run = ("run", "--model", folder, *out, *MACHINE)
    nowhere = breaker.folder / "no" / "x.json"
    commands = [
        [*compiled, "--sequence", "0"],
        [*compiled, "--sequence", "-5"],
        [*compiled, "--sequence", "65"],
        [*compiled, "--sequence", "1e9"],
        [*compiled, "--sequence", "3", "--sequence", "0"],
        [*compiled, "--layers", breaker.choose(("", "-", "1-", "2", "0,,1", "0-9", "é", "1-0"))],
        [*compiled, "--layers", "0,0"],
        [*compiled, "--past", "3"],
        [*compiled, "--dump-after", breaker.text()],
        [
            *compiled,
            "--keep",
            breaker.choose(("4", "4:", "0:8", "9:8", "7.contract=4:8", "4:8+1:8")),
        ],
        [*compiled, "--weights", breaker.folder / "no.safetensors"],
        [*compiled, "--weights", folder / CONFIG],
        [*compiled, "--json", folder],
        [*compiled, "--unknown", "1"],
        ["compile", folder, "-o", folder / CONFIG, *MACHINE],
        ["compile", folder, *out, "--preset", breaker.text()],
        ["compile", folder, *out, *MACHINE, "--set", breaker.text()],
        [*run, "--text", ""],
        [*run, "--text", "dog " * 70],
        [*run, "--latency", breaker.choose(("0", "-1", "x", "1000000"))],
        [*run, "--bandwidth", breaker.choose(("0", "2", "nan", "x", "-1"))],
        [*run, "--stalls", breaker.choose(("-1", "91", "x"))],
        [*run, "--workload", "x"],
        [*run, "--device", "x"],
        ["embed", "--model", folder, "--batch", "-1", "a", *MACHINE],
        ["embed", "--model", folder, "--file", nowhere, *MACHINE],
        ["run", "--model", nowhere, *out],
        ["nothing", folder],
    ]
    return breaker.choose(commands)


SETTINGS = (
    "array.rows=5",
    "array.rows=0",
    "array.rows=many",
    "array.rows=[]",
    "array=4",
    "array.rows.x=4",
    "scratchpad.bytes=100",
    "scratchpad.bytes=-1",
    "scratchpad.bytes=99999999999999999999",
    "axi.data_bits=33",
    "controller.queue_depth=0",
    "controller.semaphores=300",
    "butterfly.stages=x",
    "name=3",
    "=",
    "rows=8",
)


def wrong_machine(breaker):
    """A parameter of the machine is none, as a setting or in a TOML file."""
    out = ("-o", breaker.folder / "out")
    if breaker.place(2):
        return ["generate", *MACHINE, "--set", breaker.choose(SETTINGS), *out]
    path = breaker.folder / "machine.toml"
    texts = (
        "[array]\nrows = 5\n",
        "[array]\nrows = '8'\n",
        "[array]\nrows = 8.0\n",
        "[array]\nrows = true\n",
        "[array]\nrows = [8]\n",
        "array = 8\n",
        "[nothing]\nx = 1\n",
        "[array\n",
        "rows == 8\n",
        "[array]\nrows = 1979-05-27\n",
        "[[array]]\nrows = 8\n",
        "name = 3\n",
        f"[array]\n{breaker.text()}\n",
    )
    path.write_text(breaker.choose(texts))
    return ["generate", *MACHINE, "--config", path, *out]


def save_matrix(path, values):
    np.save(path, np.asarray(values))


def broken_matrix(breaker):
    """The weights of a product are no matrix of numbers."""
    path = breaker.folder / "w.npy"
    good = np.ones((6, 5), np.float32)
    spoiled = good.copy()
    spoiled[1, 2] = np.nan
    arrays = (
        np.ones(5),
        np.ones((2, 3, 4)),
        np.ones((0, 4)),
        np.array(3.0),
        spoiled,
        good * np.inf,
        good.astype(np.complex64),
        np.array([["a"]]),
        np.ones((1, 70_000), np.int8),
        good.astype([("x", np.float32)]),
        np.full((3, 3), 300, np.int16),
    )
    options = breaker.choose(
        (
            ("--m", "0"),
            ("--m", "-1"),
            ("--m", "4", "--n", "7"),
            ("--m", "4", "--k", "99"),
            ("--m", "4", "--flow", "xOS"),
            ("--m", "4", "--prune", "2"),
            ("--m", "4", "--pattern", "9:8"),
            (),
            "array",
            "array",
            "bytes",
        )
    )
    save_matrix(path, good)
    if options == "array":
        save_matrix(path, breaker.choose(arrays))
        options = ("--m", "4")
    elif options == "bytes":
        contents = path.read_bytes()
        path.write_bytes(contents[: breaker.place(len(contents))])
        options = ("--m", "4")
    return ["compile", "gemm", "--weights", path, "-o", breaker.folder / "out", *MACHINE, *options]


KINDS: tuple[Callable[[Breaker], list], ...] = (
    broken_tensor,
    broken_checkpoint,
    absurd_config,
    broken_graph,
    broken_program,
    wrong_option,
    wrong_machine,
    broken_graph,
    broken_matrix,
    broken_onnx_file,
    broken_json,
    absurd_architecture,
    broken_assembly,
)


def broken(number: int, folder: Path) -> tuple[str, list[str]]:
    """Return what is wrong in case `number`, and the command line; files go to `folder`."""
    breaker = Breaker(np.random.default_rng(number), folder)
    kind = KINDS[number % len(KINDS)]
    command = [str(item) for item in kind(breaker)]
    return f"case {number}: {kind.__name__}, {', '.join(breaker.chosen)}", command
