"""When two distinguished names are one name (RFC 5280 7.1, RFC 4518).

Case, the kind of string, and how much white space stands between words do not matter: CAs roll over
from PrintableString to UTF8String and write their own names differently in the certificates they
issue (PKITS 4.3.3 to 4.3.11). Order matters, except inside one RDN.
"""

from __future__ import annotations

import unicodedata

from cryptography import x509

ComparableName = tuple[frozenset[tuple[str, str | bytes]], ...]
"""One set of (type, prepared value) per RDN; equal exactly when the names are one name."""


def comparable(name: x509.Name) -> ComparableName:
    """The form of a name in which equality is RFC 5280's."""
    return tuple(
        frozenset((attribute.oid.dotted_string, _prepared(attribute.value)) for attribute in rdn)
        for rdn in name.rdns
    )


def same_name(first: x509.Name, second: x509.Name) -> bool:
    """Whether two names are one name."""
    return first == second or comparable(first) == comparable(second)


def is_within(name: x509.Name, base: x509.Name) -> bool:
    """Whether ``base`` is the beginning of ``name``: the subtree of RFC 5280 4.2.1.10."""
    head = comparable(base)
    return comparable(name)[: len(head)] == head


def _prepared(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value  # a bit string such as x500UniqueIdentifier is compared as it is
    # RFC 4518 2: map (controls vanish, every white space is a space), normalize, fold, squeeze.
    mapped = "".join(
        " " if character.isspace() else character
        for character in value
        if character.isspace() or unicodedata.category(character) not in {"Cc", "Cf"}
    )
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", mapped).casefold())
    return " ".join(folded.split())
