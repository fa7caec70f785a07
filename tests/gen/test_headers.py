"""The C headers compile, and pack what the layouts say."""

import subprocess

import pytest
from amaranth.lib import data

from ageha.gen.header import isa_header
from ageha.gen.isa_doc import isa_markdown
from ageha.gen.layouts import bits_of
from ageha.gen.registers import systemrdl, write_c_header, write_html
from ageha.hw import isa
from ageha.hw.config import INSTRUCTION_BYTES, PRESETS
from ageha.hw.registers import register_map

PROGRAM = """
#include "ageha_isa.h"
#include "ageha_registers.h"
#include <stddef.h>
#include <stdio.h>

static void show(const uint8_t *word, unsigned size)
{
    for (unsigned i = 0; i < size; ++i)
        printf("%02x", word[i]);
    printf("\\n");
}

int main(void)
{
    uint8_t word[AGEHA_INSTRUCTION_BYTES];
    struct ageha_matmul matmul = {.wait = 5, .signal = 0x80000000u, .a_transposed = 1,
        .fraction = -3, .m = 128, .n = 384, .k = 1536, .y_address = 0xABCDEF, .residual_pitch = 97};
    struct ageha_matmul back;
    ageha_matmul_pack(&matmul, word);
    show(word, sizeof word);
    ageha_matmul_unpack(&back, word);
    printf("%d %u\\n", back.fraction, (unsigned)back.k);
    struct ageha_scale_word scale = {.mantissa = 0xFEDC, .exponent = -7, .bias = -300};
    ageha_scale_word_pack(&scale, word);
    show(word, AGEHA_WORD_BYTES);
    printf("%u\\n", (unsigned)offsetof(ageha_t, error_code));
    return 0;
}
"""


def _bytes(layout: type[data.Struct], values: dict, size: int) -> str:
    word = layout.const(values).as_value().value
    return word.to_bytes(size, "little").hex()


def test_c_packs_what_the_layouts_say(tmp_path):
    config = PRESETS["tiny"]
    (tmp_path / "ageha_isa.h").write_text(isa_header(config))
    write_c_header(systemrdl(config), tmp_path / "ageha_registers.h")
    (tmp_path / "main.c").write_text(PROGRAM)
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["gcc", *options, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    result = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    matmul = {
        "header": {"opcode": isa.Opcode.MATMUL, "wait": 5, "signal": 0x80000000},
        "a_transposed": 1,
        "fraction": -3,
        "m": 128,
        "n": 384,
        "k": 1536,
        "y_address": 0xABCDEF,
        "residual_pitch": 97,
    }
    scale = {"mantissa": 0xFEDC, "exponent": -7, "bias": -300}
    offsets = {register.name: register.offset for register in register_map(config)}
    assert result.stdout.splitlines() == [
        _bytes(isa.Matmul, matmul, INSTRUCTION_BYTES),
        "-3 1536",
        _bytes(isa.ScaleWord, scale, 8),
        str(offsets["error_code"]),
    ]


def test_c_plus_plus_takes_the_header(tmp_path):
    (tmp_path / "ageha_isa.h").write_text(isa_header(PRESETS["base"]))
    (tmp_path / "main.cpp").write_text('#include "ageha_isa.h"\n')
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run(["g++", *options, "main.cpp"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("layout", isa.LAYOUTS.values())
def test_fields_do_not_overlap_and_fit(layout):
    end = 0
    for bits in bits_of(layout):
        assert bits.low >= end
        end = bits.low + bits.width
    assert end <= 8 * INSTRUCTION_BYTES


def test_html_page_names_every_register_and_no_path(tmp_path):
    config = PRESETS["base"]
    write_html(systemrdl(config), tmp_path)
    assert (tmp_path / "index.html").is_file()
    pages = [path for path in tmp_path.rglob("*") if path.suffix in (".html", ".js")]
    texts = "".join(path.read_text() for path in pages)
    for register in register_map(config):
        assert register.name in texts
    assert "/tmp" not in texts


def test_docs_are_those_of_the_layouts(pytestconfig):
    path = pytestconfig.rootpath / "docs" / "isa.md"
    assert path.read_text() == isa_markdown(), "run: python -m ageha.gen.isa_doc docs/isa.md"
