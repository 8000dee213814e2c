"""The peer profile: per-partner settings with known keys, types and defaults. Pure.

The keys are data (``data/profile.toml``); a key that is not there cannot be set.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from directory.errors import DirectoryError

Value = bool | int | float | str
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileKey:
    """One setting: its type, default, limits, and why it exists."""

    name: str
    type: str
    default: Value
    reason: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@lru_cache
def profile_keys() -> Mapping[str, ProfileKey]:
    """All settings there are, by name."""
    text = resources.files("directory").joinpath("data/profile.toml").read_text(encoding="utf-8")
    return {
        name: ProfileKey(name=name, **{**row, "choices": tuple(row.get("choices", ()))})
        for name, row in tomllib.loads(text).items()
    }


def profile_value(name: str, value: object) -> Value:
    """A value in its key's type; text is read as a person types it (``yes``, ``5``).

    Raises:
        DirectoryError: ``profile-invalid`` for an unknown key or a value that does not fit.
    """
    key = profile_keys().get(name)
    if key is None:
        known = ", ".join(sorted(profile_keys()))
        raise DirectoryError("profile-invalid", f"There is no such setting; there are: {known}.")
    found = _typed(key, value)
    if found is None:
        raise DirectoryError("profile-invalid", f"{name} must be {_wanted(key)}.")
    return found


def effective_profile(profile: Mapping[str, object]) -> dict[str, Value]:
    """All settings of a peer: its own where set, else the defaults."""
    return {
        name: profile_value(name, profile[name]) if name in profile else key.default
        for name, key in profile_keys().items()
    }


def _typed(key: ProfileKey, value: object) -> Value | None:
    """The value in the key's type and limits, or ``None``."""
    found: Value | None = None
    if key.type == "choice":
        found = value if isinstance(value, str) and value in key.choices else None
    elif key.type == "boolean":
        found = _BOOLEANS.get(value.lower()) if isinstance(value, str) else None
        found = value if isinstance(value, bool) else found
    elif not isinstance(value, bool) and isinstance(value, int | float | str):
        found = _number(key, value)
    return found


def _number(key: ProfileKey, value: float | str) -> Value | None:
    try:
        number = float(value)
    except ValueError:
        return None
    low = key.minimum if key.minimum is not None else number
    high = key.maximum if key.maximum is not None else number
    if not low <= number <= high:  # also false for NaN
        return None
    if key.type == "integer":
        return int(number) if number.is_integer() else None
    return number


def _wanted(key: ProfileKey) -> str:
    match key.type:
        case "choice":
            return "one of " + ", ".join(key.choices)
        case "boolean":
            return "true or false"
        case "integer":
            return f"a whole number from {key.minimum} to {key.maximum}"
        case _:
            return f"a number from {key.minimum} to {key.maximum}"
