"""The test plan covers every block, and every test that it names is there."""

import ast
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLAN = REPOSITORY / "verif" / "testplan.toml"
COMPONENT_BASES = {"Component"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def plan():
    return tomllib.loads(PLAN.read_text(encoding="utf-8"))


def named_tests():
    return [
        pytest.param(test, id=f"{block}-{name}-{test}")
        for block, points in plan().items()
        for name, point in points.items()
        for test in point["tests"]
    ]


def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}


def has_component(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).rpartition(".")[2] in COMPONENT_BASES for base in node.bases)
        for node in tree.body
    )


@pytest.mark.parametrize("test", named_tests())
def test_named_test_exists(test):
    file, _, name = test.partition("::")
    path = REPOSITORY / file
    assert path.is_file(), f"{file} does not exist"
    assert name in functions(path), f"{file} has no {name}"


def test_components_are_those_of_the_plan():
    components = {path.stem for path in (REPOSITORY / "hw").glob("*.py") if has_component(path)}
    covered = {
        block
        for points in plan().values()
        for point in points.values()
        for block in point["blocks"]
    }
    assert components == covered


def test_every_point_says_what_must_be_shown():
    for block, points in plan().items():
        for name, point in points.items():
            assert set(point) == {"shows", "blocks", "tests"}, f"{block}.{name}"
            assert point["shows"].strip() and point["blocks"] and point["tests"], f"{block}.{name}"
