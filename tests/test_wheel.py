"""The wheel holds every module and every file that the modules read."""

import shutil
import subprocess
import sys
import zipfile

FOLDERS = ("hw", "gen", "sw", "verif", "bench", "cli")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def test_wheel_is_complete(pytestconfig, tmp_path):
    # Built from a copy: setuptools keeps old files in build/ and would pack them too.
    source = tmp_path / "source"
    source.mkdir()
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(pytestconfig.rootpath / folder, source / folder, ignore=ignored)
    for name in FILES:
        shutil.copy(pytestconfig.rootpath / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("ageha-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    expected = {
        f"ageha/{path.relative_to(source).as_posix()}"
        for folder in FOLDERS
        for path in (source / folder).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert expected - packed == set()
    metadata = zipfile.ZipFile(wheel).read("ageha-0.1.0.dist-info/entry_points.txt").decode()
    assert "ageha = ageha.cli.main:main" in metadata
