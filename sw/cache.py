"""Folders that are built once, shared by parallel processes, and looked up by content."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent


def build_root() -> Path:
    """Return the folder for everything that can be made again.

    It is ``$AGEHA_BUILD`` if set, ``build/`` in a checkout, and the user's cache folder for an
    installed wheel. Verilator and make refuse white space in a path, so a checkout under such a
    path builds in the system's folder for temporary files.
    """
    if "AGEHA_BUILD" in os.environ:
        root = Path(os.environ["AGEHA_BUILD"]).resolve()
    elif (_REPOSITORY / "pyproject.toml").is_file():
        root = _REPOSITORY / "build"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        root = Path(base) / "ageha"
    if any(character.isspace() for character in str(root)):
        name = hashlib.sha256(str(root).encode()).hexdigest()[:12]
        root = Path(tempfile.gettempdir()) / f"ageha-{os.getuid()}-{name}"
    return root


def digest(*parts: object) -> str:
    """Return 20 hexadecimal digits that depend on the text of every part."""
    state = hashlib.sha256()
    for part in parts:
        text = str(part).encode()
        state.update(len(text).to_bytes(8, "little"))
        state.update(text)
    return state.hexdigest()[:20]


@cache
def source_digest(*folders: Path) -> str:
    """Return what tells the Python sources in and below some folders from others."""
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return digest(*(file.read_text(encoding="utf-8") for file in files))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` (created if absent), across processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return the folder ``cache/kind/key``, calling ``build(folder)`` when it is absent.

    `build` gets a fresh temporary folder that is renamed when it returns, so a reader never sees
    half a result; what it raises is passed on and nothing is kept. Processes that want the same
    folder wait for the first.
    """
    root = build_root() / "cache"
    final = root / kind / key
    if final.is_dir():
        return final
    with locked(root / "locks" / f"{kind}-{key}"):
        if not final.is_dir():
            final.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".work-", dir=final.parent))
            work.chmod(0o755)
            try:
                build(work)
                work.rename(final)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return final
