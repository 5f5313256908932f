"""Named components: the one way to go from a name in `params.yaml` to a function."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.hyperparameter import Hyperparameter

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
        kind: What the entries are, in the singular; used in error messages. Where entries have
            hyperparameters of their own, the hyperparameter that chooses one has this name.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._parameters: dict[str, dict[str, Hyperparameter]] = {}

    def register(
        self, name: str, *, parameters: Mapping[str, Hyperparameter] | None = None
    ) -> Callable[[T], T]:
        """Returns a decorator that files its argument under `name`.

        Args:
            name: What the entry is asked for by; another of the same name is refused.
            parameters: The hyperparameters that exist only where this entry is chosen, by name.
                Several entries may have one in common: each names it, with the same declaration.
        """

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice.")
            self._entries[name] = entry
            self._parameters[name] = dict(parameters or {})
            return entry

        return add

    @property
    def parameters(self) -> dict[str, Hyperparameter]:
        """The entries' own hyperparameters, in the order in which entries first name them.

        Each is active where one of the entries that name it is chosen.

        Raises:
            ValueError: If two entries declare one name differently.
        """
        declared: dict[str, Hyperparameter] = {}
        users: dict[str, list[str]] = {}
        for entry, parameters in self._parameters.items():
            for name, spec in parameters.items():
                if declared.setdefault(name, spec) != spec:
                    raise ValueError(
                        f"{self.kind} {entry!r} declares {name} in another way than "
                        f"{users[name][0]!r} does."
                    )
                users.setdefault(name, []).append(entry)
        return {
            name: replace(spec, active_when={self.kind: frozenset(users[name]), **spec.active_when})
            for name, spec in declared.items()
        }

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
