r"""The values of search parameters: prefixes, systems, escapes. Pure.

``\,``, ``\|``, ``\$`` and ``\\`` stand for the characters themselves (FHIR R4 3.1.1.5.7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from node.wire.fhir.catalogue import Kind, Parameter
from node.wire.fhir.dates import Span, parse_span
from node.wire.fhir.extract import MAX_TEXT, clean
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.references import is_id, local_reference, normal_reference

_PREFIX_LENGTH = 2
_APPROXIMATELY = 10
"""``ap``: a tenth of the distance from now (FHIR R4 3.1.1.5.3 recommends it)."""


class Prefix(StrEnum):
    """How a date is compared (FHIR R4 3.1.1.5.4)."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


_PREFIXES = frozenset(prefix.value for prefix in Prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCondition:
    """A code; ``system`` is ``None`` for any, empty for none; ``code`` is ``None`` for any."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DateCondition:
    """A date and how it is compared; for ``ap`` the span is already widened.

    ``text`` is the value as it was sent, of letters, digits and signs of dates alone.
    """

    prefix: Prefix
    span: Span
    text: str = field(default="", compare=False)

    def holds(self, found: Span) -> bool:
        """Whether a stretch of time keeps it; ``ne`` is what is not ``eq``."""
        span = self.span
        within = found.low >= span.low and found.high <= span.high
        return {
            Prefix.EQ: within,
            Prefix.NE: not within,
            Prefix.GT: found.high > span.high,
            Prefix.LT: found.low < span.low,
            Prefix.GE: found.high > span.high or within,
            Prefix.LE: found.low < span.low or within,
            Prefix.SA: found.low >= span.high,
            Prefix.EB: found.high <= span.low,
            Prefix.AP: found.low < span.high and found.high > span.low,
        }[self.prefix]


@dataclass(frozen=True, slots=True, kw_only=True)
class StringCondition:
    """A text: ``modifier`` is ``exact``, ``contains`` or empty for "starts with"."""

    text: str
    modifier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCondition:
    """A reference in normal form."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingCondition:
    """Whether a resource has no value for the parameter."""

    is_missing: bool


Condition = TokenCondition | DateCondition | StringCondition | ReferenceCondition | MissingCondition


def split_escaped(text: str, separator: str) -> list[str]:
    """The parts of a value between separators that are not escaped; escapes are kept."""
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def unescaped(text: str) -> str:
    r"""A value without its escapes; a lone ``\`` stands for itself."""
    if "\\" not in text:
        return text
    found, at = [], 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in {",", "|", "$", "\\"}:
            at += 1
        found.append(text[at])
        at += 1
    return "".join(found)


def escaped(text: str) -> str:
    """A text as a value of a search parameter."""
    for sign in "\\,|$":
        text = text.replace(sign, f"\\{sign}")
    return text


def parse_condition(
    parameter: Parameter, modifier: str, text: str, *, base_url: str, now: datetime
) -> Condition:
    """Read one value of a parameter, whose modifier is known to fit.

    Raises:
        FhirProblem: ``fhir-value-invalid``.
    """
    if not text:
        raise _invalid(parameter.name)
    match parameter.kind:
        case Kind.TOKEN:
            return token_condition(text, parameter.name)
        case Kind.DATE:
            return date_condition(text, parameter.name, now)
        case Kind.STRING:
            plain = clean(unescaped(text))[:MAX_TEXT]
            if not plain.strip():
                raise _invalid(parameter.name)
            return StringCondition(text=plain, modifier=modifier)
        case Kind.REFERENCE:
            return _reference(text, parameter, base_url)


def date_condition(text: str, name: str, now: datetime) -> DateCondition:
    """A date with its prefix.

    Raises:
        FhirProblem: ``fhir-value-invalid``.
    """
    prefix, rest = Prefix.EQ, text
    if text[:_PREFIX_LENGTH].isalpha():
        if text[:_PREFIX_LENGTH] not in _PREFIXES:
            raise _invalid(name)
        prefix, rest = Prefix(text[:_PREFIX_LENGTH]), text[_PREFIX_LENGTH:]
    span = parse_span(rest)
    if span is None:
        raise _invalid(name)
    if prefix is Prefix.AP:
        moment = int(now.astimezone(UTC).timestamp() * 1000)
        slack = abs(moment - span.low) // _APPROXIMATELY
        span = Span(low=span.low - slack, high=span.high + slack)
    return DateCondition(prefix=prefix, span=span, text=text)


def token_condition(text: str, name: str) -> TokenCondition:
    """A code with or without its system.

    Raises:
        FhirProblem: ``fhir-value-invalid``.
    """
    parts = [clean(unescaped(part))[:MAX_TEXT] for part in split_escaped(text, "|")]
    if not any(parts):
        raise _invalid(name)
    if len(parts) == 1:
        return TokenCondition(system=None, code=parts[0])
    if len(parts) > 2:  # noqa: PLR2004 - system and code
        raise _invalid(name)
    return TokenCondition(system=parts[0], code=parts[1] or None)


def _reference(text: str, parameter: Parameter, base_url: str) -> ReferenceCondition:
    plain = unescaped(text).removeprefix(f"{base_url}/")
    local = local_reference(plain)
    if local is not None:
        return ReferenceCondition(target="/".join(local))
    if is_id(plain):
        if parameter.target is None:
            raise FhirProblem(
                "fhir-value-invalid", f"A value of {parameter.name} needs its type: Type/id."
            )
        return ReferenceCondition(target=f"{parameter.target}/{plain}")
    found = normal_reference(plain)
    if found is None or ":" not in found:
        raise _invalid(parameter.name)
    return ReferenceCondition(target=found)


def _invalid(name: str) -> FhirProblem:
    return FhirProblem("fhir-value-invalid", f"A value of {name} is not of its form.")
