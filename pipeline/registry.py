"""Named components: the one way to go from a name in `params.yaml` to a function."""

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pipeline.errors import ConfigError

T = TypeVar("T")


def unknown_name(kind: str, name: object, choices: list[str]) -> str:
    """Says that `name` is none of `choices`, naming the nearest and listing all.

    >>> unknown_name("schedule", "cosin", ["constant", "cosine"])
    "Unknown schedule: 'cosin'. Did you mean 'cosine'? Choose one of: constant, cosine."
    """
    close = difflib.get_close_matches(str(name), choices, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"Unknown {kind}: {name!r}.{hint} Choose one of: {', '.join(sorted(choices))}."


class Registry(Generic[T]):
    """A read-only-after-import mapping from a name to a component of one kind.

    Args:
        kind: What the entries are, in the singular; used in error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that files its argument under `name`."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice.")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """Looks up `name`.

        Raises:
            ConfigError: If nothing is registered under `name`; the message lists the choices.
        """
        if name in self._entries:
            return self._entries[name]
        raise ConfigError(unknown_name(self.kind, name, list(self)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
