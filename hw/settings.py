"""Parameters from a user: a preset, a TOML file and single settings."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .config import AcceleratorConfig, ConfigError, flatten, override, preset

_BOOLEANS = {"true": True, "false": False}


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``"array.rows=8"`` in a name and a value.

    Raises
    ------
    ConfigError
        If the text has no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"a setting is NAME=VALUE, such as array.rows=8, not {text!r}")
    if value in _BOOLEANS:
        return name, _BOOLEANS[value]
    try:
        return name, int(value, 0)
    except ValueError:
        return name, value


def load(
    source: str, settings: Iterable[str] = (), *, toml: Path | None = None
) -> AcceleratorConfig:
    """Return preset `source`, changed by a TOML file and then by ``NAME=VALUE`` settings.

    Raises
    ------
    ConfigError
        If the preset, the file or a setting is wrong.
    """
    config = preset(source)
    if toml is not None:
        try:
            table = tomllib.loads(toml.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{toml}: cannot be read as TOML: {error}") from None
        config = override(config, dict(flatten(table)))
    return override(config, dict(parse_setting(text) for text in settings))
