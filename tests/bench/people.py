"""Made-up people for the index: as many as wanted, the same ones every time.

Family and given names come with the frequencies of a real population: a few are borne by many, most
by few. Everybody has a name, a birth date, a sex, an address, a telephone and a record number, and
their own id is below the OID arc 2.999.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import accumulate, product
from random import Random

from node.model import Address, Demographics, PatientId, PersonName, Telecom

AUTHORITY = "2.999.77.5"
_ONSETS = (
    "b",
    "br",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "w",
)
_RHYMES = ("an", "ell", "er", "ick", "ing", "ock", "on", "ow", "und", "a", "is", "ey", "o", "art")
_BORN = (1930, 2015)


@cache
def _names(count: int, syllables: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and their summed weights: the n-th is borne by about 1/(n + 20) of the people."""
    parts = product((o + r for r in _RHYMES for o in _ONSETS), repeat=syllables)
    found = [("".join(p)).title() for p, _ in zip(parts, range(count * 7), strict=False)][::7]
    return tuple(found), tuple(accumulate(1 / (n + 20) for n in range(len(found))))


def person(number: int) -> Demographics:
    """The person of a number."""
    random = Random(number)
    families, family_weights = _names(8000, 2)
    given, given_weights = _names(1500, 2)
    first = random.choices(given, cum_weights=given_weights, k=2)
    year = random.randint(*_BORN)
    return Demographics(
        names=(
            PersonName(
                family=random.choices(families, cum_weights=family_weights)[0],
                given=tuple(first),
                use="L",
            ),
        ),
        birth_date=f"{year}{random.randint(1, 12):02d}{random.randint(1, 28):02d}",
        sex=random.choice("MF"),
        addresses=(
            Address(
                lines=(f"{random.randint(1, 9999)} {random.choice(families)} Street",),
                city=random.choice(families),
                state="OR",
                postal_code=f"{random.randint(97001, 97999)}",
                country="US",
            ),
        ),
        telecoms=(Telecom(value=f"tel:+1-503-{number // 10_000:03d}-{number % 10_000:04d}"),),
        identifiers=(PatientId(assigning_authority=AUTHORITY, id=f"{number:08d}"),),
    )


def people(count: int) -> Iterator[tuple[str, Demographics]]:
    """People 0 to ``count`` with local ids."""
    for number in range(count):
        yield local_id(number), person(number)


def local_id(number: int) -> str:
    """The index's id of a person."""
    return f"{number:032x}"


def asked(number: int) -> Demographics:
    """What another organisation knows of the person: the same, without our record number."""
    known = person(number)
    own = PatientId(assigning_authority="2.999.78.5", id=f"x{number:08d}")
    return Demographics(
        names=known.names,
        birth_date=known.birth_date,
        sex=known.sex,
        addresses=known.addresses,
        telecoms=known.telecoms,
        identifiers=(own,),
    )
