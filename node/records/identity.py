"""One person from many documents: what is known is the sum of what the documents say. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from node.model import Demographics, PatientId

_MAX_VALUES = 16
_MAX_IDENTIFIERS = 64

T = TypeVar("T")


def merged(known: Demographics, new: Demographics) -> Demographics:
    """Both views of one person. What was known first stays first; only gaps are filled.

    A birth date gains precision and never changes: two different dates are kept apart by the
    matcher, and a slip in a later document is not an improvement.
    """
    return replace(
        known,
        names=_union(known.names, new.names, _MAX_VALUES),
        birth_date=_finer(known.birth_date, new.birth_date),
        sex=known.sex if known.sex in ("M", "F") else new.sex or known.sex,
        addresses=_union(known.addresses, new.addresses, _MAX_VALUES),
        telecoms=_union(known.telecoms, new.telecoms, _MAX_VALUES),
        identifiers=_union(known.identifiers, new.identifiers, _MAX_IDENTIFIERS),
        mothers_maiden_name=known.mothers_maiden_name or new.mothers_maiden_name,
        birth_place=known.birth_place or new.birth_place,
    )


def with_identifier(person: Demographics, identifier: PatientId) -> Demographics:
    """The person with one more id in front."""
    others = tuple(i for i in person.identifiers if i != identifier)
    return replace(person, identifiers=(identifier, *others))


def _finer(known: str | None, new: str | None) -> str | None:
    if known is None or (new is not None and new.startswith(known)):
        return new if new is not None else known
    return known


def _union(known: tuple[T, ...], new: tuple[T, ...], most: int) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*known, *new)))[:most]
