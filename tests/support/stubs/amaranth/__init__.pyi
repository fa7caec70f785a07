# Amaranth is untyped, and its classes get attributes at run time that no checker can see: all of it
# is Any but the enumerations, which are Python's.
from typing import Any

def __getattr__(name: str) -> Any: ...
