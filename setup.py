"""Lists the packages; everything else about the distribution is in pyproject.toml.

The folders are mapped one by one, so setuptools cannot discover their subpackages itself, and a
list written by hand would forget one. Folders without an ``__init__.py`` count: they hold data.
"""

from setuptools import find_namespace_packages, setup

FOLDERS = ("hw", "gen", "sw", "verif", "bench", "cli")


def packages(folder: str) -> list[str]:
    """Return the package that `folder` is mapped to, and those below it."""
    inner = find_namespace_packages(folder, exclude=["*__pycache__*"])
    return [f"ageha.{folder}", *(f"ageha.{folder}.{name}" for name in inner)]


setup(packages=[name for folder in FOLDERS for name in packages(folder)])
