"""A group of commands one of which needs no name."""

from typing import Any

from typer.core import TyperGroup

MODEL = "model"
"""The command that is meant where none is named."""


class ModelByDefault(TyperGroup):
    """``ageha compile minilm`` is ``ageha compile model minilm``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command before arguments that do not begin with one."""
        known: Any = (*self.commands, "--help")
        if args and args[0] not in known:
            args = [MODEL, *args]
        return super().parse_args(ctx, args)
