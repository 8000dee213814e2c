"""Parameters of a search of the network taken one by one, and their values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from node.wire.fhir.conditions import split_escaped, unescaped
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair, refuse_never, shown

MOST_VALUES: Final = 50
LONGEST: Final = 512
_CONTROL = ("_format", "_pretty")


def take_each(
    pairs: Sequence[Pair],
    take: Callable[[str, str], bool],
    *,
    strict: bool,
    chains: Collection[str] = (),
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Give each parameter to ``take``; those that it took, and the names of those that it did not.

    Raises:
        FhirProblem: ``fhir-parameter-unknown`` (strict), ``fhir-parameter-unsupported`` for chains
            other than ``chains``, ``fhir-search-limit``.
    """
    used: list[Pair] = []
    ignored: list[str] = []
    for name, value in pairs:
        if name in _CONTROL:
            continue
        refuse_never(name, chains)
        if len(value) > LONGEST * MOST_VALUES:
            raise FhirProblem("fhir-search-limit", f"The value of {shown(name)} is too long.")
        if value and take(name, value):
            used.append((name, value))
        elif strict:
            raise FhirProblem(
                "fhir-parameter-unknown", f"The search parameter {shown(name)} is not known here."
            )
        else:
            ignored.append(shown(name))
    return tuple(used), tuple(dict.fromkeys(ignored))


def values_of(name: str, value: str) -> list[str]:
    """The values between commas, escapes kept. Raises ``FhirProblem``."""
    parts = split_escaped(value, ",")
    if len(parts) > MOST_VALUES:
        raise FhirProblem("fhir-search-limit", f"{name} has more than {MOST_VALUES} values.")
    if not all(part and len(part) <= LONGEST and part.isprintable() for part in parts):
        raise invalid(name)
    return parts


def one_of(name: str, value: str) -> str:
    """The one value, escapes kept. Raises ``FhirProblem`` where there are several."""
    parts = values_of(name, value)
    if len(parts) > 1:
        raise FhirProblem(
            "fhir-parameter-unsupported", f"{shown(name)} with several values is not supported."
        )
    return parts[0]


def text_of(name: str, value: str) -> str:
    """The one value as a text. Raises ``FhirProblem``."""
    text = unescaped(one_of(name, value)).strip()
    if not text:
        raise invalid(name)
    return text


def unsupported(name: str) -> FhirProblem:
    """A parameter in a form that is not taken."""
    return FhirProblem(
        "fhir-parameter-unsupported", f"The search parameter {shown(name)} is not supported here."
    )


def invalid(name: str) -> FhirProblem:
    """A value that is none of the parameter."""
    return FhirProblem("fhir-value-invalid", f"A value of {shown(name)} is not of its form.")


def twice(name: str) -> FhirProblem:
    """A parameter that stands more than once."""
    return FhirProblem("fhir-parameter-unsupported", f"{shown(name)} may stand once.")
