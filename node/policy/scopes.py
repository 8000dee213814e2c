"""SMART scopes: read, granted, and what a grant allows (fhir-and-udap 2.4; tefca 8 "Scopes").

A scope asked for is granted as far as it is offered and no further; what is left out is left out
without an error, unless nothing is left. Only a wildcard that was not advertised is refused as
such. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

MAX_SCOPES = 200
ANY = "*"
_BACKEND = "system"
_LETTERS = "cruds"
_OLD = {"read": "rs", "write": "cud", ANY: _LETTERS}
_SCOPE = re.compile(
    r"(patient|user|system)/([A-Z][A-Za-z]{1,63}|\*)\.(read|write|\*|c?r?u?d?s?)(?:\?([!-~]{1,256}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One resource scope.

    Attributes:
        context: ``patient``, ``user`` or ``system``.
        type: a resource type, or ``*``.
        operations: letters of ``cruds``, in that order.
        query: the search parameters that narrow it, or empty.
        is_old: whether it is spelt as in SMART 1 (``read``).
    """

    context: str
    type: str
    operations: str
    query: str = ""
    is_old: bool = False

    def __str__(self) -> str:
        """As it is written in a token response."""
        operations = "read" if self.is_old and self.operations == _OLD["read"] else self.operations
        return f"{self.context}/{self.type}.{operations}{f'?{self.query}' if self.query else ''}"

    def covers(self, other: Scope) -> bool:
        """Whether it is no narrower than another one, operations aside."""
        return (
            self.context == other.context
            and self.type in (ANY, other.type)
            and self.query in ("", other.query)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The scopes of a server.

    Attributes:
        contexts: of ``patient``, ``user`` and ``system``.
        operations: letters of ``cruds`` that every type has.
        wildcards: what may follow ``context/``, such as ``*.rs``.
        types: resource types.
        creates: those that may be created; a wildcard never holds that.
    """

    contexts: tuple[str, ...]
    operations: str
    wildcards: tuple[str, ...]
    types: tuple[str, ...]
    creates: tuple[str, ...] = ()

    @property
    def advertised(self) -> tuple[str, ...]:
        """What stands in ``scopes_supported``."""
        kinds = (*self.wildcards, *(f"{name}.{self.operations}" for name in self.types))
        return tuple(f"{context}/{kind}" for context in self.contexts for kind in kinds)

    @property
    def wildcard_operations(self) -> tuple[str, ...]:
        """The operations of each wildcard."""
        texts = (f"{self.contexts[0]}/{each}" for each in self.wildcards)
        return tuple(each.operations for each in parse_scopes(texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What became of the scopes that were asked for.

    Attributes:
        granted: in the order asked for; empty when nothing is.
        refused_wildcard: a wildcard that was not advertised, or ``None``.
    """

    granted: tuple[Scope, ...] = ()
    refused_wildcard: str | None = None

    def __str__(self) -> str:
        """As the ``scope`` of a response."""
        return " ".join(map(str, self.granted))


@lru_cache
def own_offer() -> Offer:
    """What this version of the node offers to systems."""
    text = resources.files("node.policy").joinpath("data/fhir_scopes.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return Offer(
        contexts=("system",),
        operations=table["operations"],
        wildcards=tuple(table["wildcards"]),
        types=tuple(table["types"]),
    )


def app_offer() -> Offer:
    """What it offers to apps, which people use."""
    return replace(own_offer(), contexts=("patient", "user"))


def for_ours(offer: Offer) -> Offer:
    """An offer with the types that only clients of our own can be granted."""
    return replace(
        offer,
        types=(*offer.types, *_of_ours("types_of_ours")),
        creates=_of_ours("creates_of_ours"),
    )


@lru_cache
def _of_ours(name: str) -> tuple[str, ...]:
    text = resources.files("node.policy").joinpath("data/fhir_scopes.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)[name])


def parse_scope(text: str) -> Scope | None:
    """One scope, or ``None`` when it is none of a resource (``openid``, ``launch``, nonsense)."""
    found = _SCOPE.fullmatch(text)
    if found is None or not found[3]:
        return None
    return Scope(
        context=found[1],
        type=found[2],
        operations=_OLD.get(found[3], found[3]),
        query=found[4] or "",
        is_old=found[3] in _OLD,
    )


def parse_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """The resource scopes among some."""
    return tuple(found for text in texts if (found := parse_scope(text)) is not None)


def wanted_scopes(advertised: Sequence[str]) -> tuple[str, ...]:
    """What we ask a peer's server for, once for all questions: to read what it advertises.

    The wildcard where it has one; else the types that we know; the wildcard again where it says
    nothing (fhir-and-udap 1.3: ``scopes_supported`` is only recommended).
    """
    wildcards = [f"{_BACKEND}/{ANY}.rs", f"{_BACKEND}/{ANY}.read"]
    offered = [each for each in wildcards if each in advertised]
    if offered:
        return (offered[0],)
    types = own_offer().types
    named = {
        str(scope)
        for scope in parse_scopes(advertised)
        if scope.context == _BACKEND and scope.type in types and "r" in scope.operations
    }
    return tuple(sorted(named)) or (wildcards[0],)


def negotiate(
    asked: Sequence[str], offer: Offer, *, within: Sequence[Scope] | None = None
) -> Negotiated:
    """What is granted of what is asked.

    Args:
        asked: scopes as they stand; more than 200 are not looked at.
        offer: what the server has.
        within: what the client was registered for; ``None`` while it registers.
    """
    granted: dict[Scope, None] = {}
    wildcards = offer.wildcard_operations
    for scope in parse_scopes(asked[:MAX_SCOPES]):
        if scope.context not in offer.contexts:
            continue
        if scope.type == ANY:
            # spelt otherwise it would be another grant than the one advertised
            if not any(set(scope.operations) <= set(each) for each in wildcards):
                return Negotiated(refused_wildcard=str(scope))
        elif scope.type not in offer.types:
            continue
        letters = set(scope.operations) & set(offer.operations)
        if scope.type in offer.creates:
            letters |= set(scope.operations) & {"c"}
        if within is not None:
            letters &= {o for each in within if each.covers(scope) for o in each.operations}
        if letters:
            kept = "".join(letter for letter in _LETTERS if letter in letters)
            granted[
                Scope(
                    context=scope.context,
                    type=scope.type,
                    operations=kept,
                    query=scope.query,
                    is_old=scope.is_old,
                )
            ] = None
    return Negotiated(granted=tuple(granted))


def allows(granted: Iterable[Scope], resource_type: str, operation: str) -> tuple[str, ...] | None:
    """Whether scopes allow an operation on a type, and by which conditions.

    Returns:
        ``None`` when they do not. Otherwise the search parameters of which at least one set must
        hold for each resource; none at all when every resource of the type may be seen.
    """
    fitting = [s for s in granted if s.type in (ANY, resource_type) and operation in s.operations]
    if not fitting:
        return None
    if any(not each.query for each in fitting):
        return ()
    return tuple(dict.fromkeys(each.query for each in fitting))
