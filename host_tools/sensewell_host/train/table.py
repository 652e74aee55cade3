"""A table of a recipe that knows which of its keys were asked for, so that a misspelt one is not passed over.

Must not know what any key means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sensewell_host.errors import SensewellError


class Table:
    """A table of the recipe that knows which of its keys were asked for."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, dict):
            raise SensewellError(f"{where}: expected a table, got {content!r:.60}")
        self._content = content
        self._asked: set[str] = set()
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def value(self, key: str, kinds: tuple[type, ...], what: str, default: Any = None) -> Any:
        self._asked.add(key)
        found = self._content.get(key, default)
        if not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds):
            raise SensewellError(f"{self.where}: expected {key} as {what}, got {found!r}")
        return found

    def text(self, key: str, default: str | None = None) -> str:
        return str(self.value(key, (str,), "text", default))

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        found = int(self.value(key, (int,), "a whole number", default))
        if not low <= found <= high:
            raise SensewellError(f"{self.where}: expected {key} in {low}..{high}, got {found}")
        return found

    def number(self, key: str, default: float | None = None) -> float:
        return float(self.value(key, (int, float), "a number", default))

    def flag(self, key: str, default: bool) -> bool:
        return bool(self.value(key, (bool,), "true or false", default))

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        found = self.value(key, (list,), "a list of texts", default)
        if not all(isinstance(text, str) for text in found):
            raise SensewellError(f"{self.where}: expected {key} as a list of texts, got {found!r}")
        return tuple(found)

    def numbers(self, key: str, n: int, default: list[float] | None = None) -> tuple[float, ...]:
        found = self.value(key, (list,), f"a list of {n} numbers", default)
        if len(found) != n or not all(isinstance(x, (int, float)) for x in found):
            raise SensewellError(f"{self.where}: expected {key} as a list of {n} numbers, got {found!r}")
        return tuple(float(x) for x in found)

    def table(self, key: str) -> Table:
        self._asked.add(key)
        return Table(self._content.get(key, {}), f"{self.where} [{key}]")

    def tables(self, key: str) -> list[Table]:
        self._asked.add(key)
        entries = self._content.get(key, [])
        if not isinstance(entries, list):
            raise SensewellError(f"{self.where}: expected [[{key}]] as a list of tables")
        return [Table(entry, f"{self.where} [[{key}]] {number + 1}") for number, entry in enumerate(entries)]

    def done(self) -> None:
        unknown = sorted(set(self._content) - self._asked)
        if unknown:
            raise SensewellError(
                f"{self.where}: no such key: {', '.join(unknown)} (there are {', '.join(sorted(self._asked))})"
            )
