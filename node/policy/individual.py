"""Whether an individual's proved identity is that of the person who is asked about. Pure.

Names, birth date and address must agree with one of those in the question; of mail address and
telephone, one must, where the question has any (facts: tefca 8.1: verified demographics must be in
the body of the discovery). Case, accents and punctuation do not count, nor does what a ZIP code has
after five digits.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from node.model import Address, Demographics, PersonName, Telecom
from trust.udap.id_token import ProvedPerson

_ZIP: Final = 5
_PHONE: Final = 10


def disagreements(person: ProvedPerson, asked: Demographics) -> tuple[str, ...]:
    """What does not agree, by name; never a value."""
    return tuple(_disagreements(person, asked))


def of_person(person: ProvedPerson) -> Demographics:
    """A proved person as demographics, to find them by."""
    telecoms = [f"mailto:{person.email}"] if person.email else []
    telecoms += [f"tel:{person.phone}"] if person.phone else []
    return Demographics(
        names=(PersonName(family=person.family, given=(person.given,)),),
        birth_date=person.birth_date,
        addresses=(
            Address(
                lines=tuple(person.street.splitlines()) if person.street else (),
                city=person.city,
                state=person.state,
                postal_code=person.postal_code,
            ),
        ),
        telecoms=tuple(Telecom(value=each) for each in telecoms),
    )


def _disagreements(person: ProvedPerson, asked: Demographics) -> Iterator[str]:
    names = [
        name
        for name in asked.names
        if _plain(name.family) == _plain(person.family)
        and any(_plain(each) in _givens(person.given) for each in name.given[:1])
    ]
    if not names:
        yield "name"
    if (asked.birth_date or "")[:8] != person.birth_date:
        yield "birth date"
    if not any(_at(person, address) for address in asked.addresses):
        yield "address"
    if asked.telecoms and not _reached(person, asked):
        yield "telecom"


def _at(person: ProvedPerson, address: Address) -> bool:
    if person.postal_code and address.postal_code:
        return _digits(person.postal_code)[:_ZIP] == _digits(address.postal_code)[:_ZIP]
    return bool(person.city and person.state) and (
        (_plain(person.city), _plain(person.state)) == (_plain(address.city), _plain(address.state))
    )


def _reached(person: ProvedPerson, asked: Demographics) -> bool:
    for telecom in asked.telecoms:
        scheme, _, value = telecom.value.partition(":")
        if scheme == "mailto" and person.email and value.casefold() == person.email.casefold():
            return True
        number = _digits(telecom.value)[-_PHONE:]
        if scheme != "mailto" and person.phone and number == _digits(person.phone)[-_PHONE:]:
            return True
    return False


def _givens(given: str) -> frozenset[str]:
    """A claim may hold a middle name behind the first: the whole, and the first alone, count."""
    return frozenset(_plain(each) for each in (given, *given.split(maxsplit=1)[:1]))


def _plain(text: str | None) -> str:
    split = unicodedata.normalize("NFKD", text or "")
    return "".join(c for c in split.casefold() if c.isalnum())


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isascii() and c.isdecimal())
