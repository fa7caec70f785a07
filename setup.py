"""Lists the packages; everything else about the distribution is in pyproject.toml.

The folders are mapped one by one, so setuptools cannot discover their subpackages itself, and a
list written by hand would forget one.
"""

from setuptools import find_packages, setup

FOLDERS = ("hw", "gen", "sw", "verif", "bench", "cli")

setup(
    packages=[
        name
        for folder in FOLDERS
        for name in (
            f"ageha.{folder}",
            *(f"ageha.{folder}.{package}" for package in find_packages(folder)),
        )
    ]
)
