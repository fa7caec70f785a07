"""Model of the queue in block RAM: a memory and the register that is read behind it."""

from __future__ import annotations

from collections import deque


class BlockQueue:
    """A queue of `depth` words, one of them in front of the memory.

    Attributes
    ----------
    head : int, optional
        The word that can be taken.
    """

    def __init__(self, depth: int) -> None:
        self.head: int | None = None
        self._room = depth - 1
        self._stored: deque[int] = deque()

    @property
    def level(self) -> int:
        """Words in the queue."""
        return len(self._stored) + (self.head is not None)

    @property
    def ready(self) -> bool:
        """Whether a word is accepted: the memory alone counts."""
        return len(self._stored) < self._room

    def step(self, offered: int | None, *, taken: bool, clear: bool) -> None:
        """Go on by a cycle, in which a word may be offered and the head may be taken."""
        accepted = offered is not None and self.ready
        if self.head is None or taken:
            self.head = self._stored.popleft() if self._stored else None
        if accepted and offered is not None:
            self._stored.append(offered)
        if clear:
            self.head = None
            self._stored.clear()
