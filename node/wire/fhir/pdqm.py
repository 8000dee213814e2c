"""The search of ITI-78 (PDQm): its parameters as demographics, and what those cannot say. Pure.

The network is asked by XCPD, which compares whole demographics by each community's own matching: a
family name is not "starts with" but "is alike". What XCPD cannot carry (``:exact``, ``active``,
dates with a comparison, an address as free text) is applied to what comes back. What cannot be
applied either is left out of the self link, or refused under ``Prefer: handling=strict``.
Source: IHE PDQm 3.2 2:3.78.4.1.2; facts fhir-and-udap 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from node.model import Address, Demographics, PatientId, PersonName, Telecom
from node.wire import document_codes
from node.wire.fhir.conditions import (
    DateCondition,
    Prefix,
    date_condition,
    split_escaped,
    unescaped,
)
from node.wire.fhir.dates import parse_span
from node.wire.fhir.parameter_values import (
    invalid,
    take_each,
    text_of,
    twice,
    unsupported,
    values_of,
)
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair

MOST_COUNT: Final = 100
_DAY = 8
_MODIFIER = "exact"
_GENDERS = {"male": "M", "female": "F", "other": "UN", "unknown": None}
_REVINCLUDE = "Provenance:target"
_TELECOMS = {"phone": "tel:", "email": "mailto:", "sms": "tel:"}
_ADDRESS = {
    "address-city": "city",
    "address-state": "state",
    "address-postalcode": "postal_code",
    "address-country": "country",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSearch:
    """Who is looked for.

    Attributes:
        demographics: what is asked with.
        ids: of network patients, where some are named by it.
        exact: texts that must stand so in an answer, by parameter.
        address: what an address of the answer must begin with.
        born: what the date of birth must keep.
        is_active: ``False`` asks for records that are not in use; none of the network's is such.
        domains: the systems whose identifiers are wanted, where some are named.
        count: matches at most.
        provenance: whether it is asked along.
        used: what was understood, for the self link.
        ignored: names of what was not.
    """

    demographics: Demographics = field(default_factory=Demographics)
    ids: tuple[str, ...] = ()
    exact: tuple[Pair, ...] = ()
    address: tuple[str, ...] = ()
    born: tuple[DateCondition, ...] = ()
    is_active: bool = True
    domains: tuple[str, ...] = ()
    count: int = MOST_COUNT
    provenance: bool = False
    used: tuple[Pair, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def can_be_asked(self) -> bool:
        """Whether XCPD can carry it: by an identifier, or by a name and a date of birth."""
        return may_be_asked(self.demographics)


def may_be_asked(known: Demographics) -> bool:
    """Whether a discovery can ask with these (ITI TF-2 3.55.4.1.2)."""
    named = any(each.family or each.given for each in known.names)
    return bool(known.identifiers) or (named and known.birth_date is not None)


def read_person_search(pairs: Sequence[Pair], *, strict: bool, now: datetime) -> PersonSearch:
    """Read the parameters.

    Raises:
        FhirProblem: ``fhir-parameter-unknown`` (strict), ``fhir-parameter-unsupported``,
            ``fhir-value-invalid``, ``fhir-search-limit``.
    """
    reader = _Reader(now)
    used, ignored = take_each(pairs, reader.take, strict=strict)
    return replace(reader.found(), used=used, ignored=ignored)


@dataclass(slots=True)
class _Reader:
    now: datetime
    search: PersonSearch = field(default_factory=PersonSearch)
    name: PersonName = field(default_factory=PersonName)
    place: Address = field(default_factory=Address)

    def take(self, whole: str, value: str) -> bool:
        name, _, modifier = whole.partition(":")
        taking = _TAKING.get(name)
        if taking is None:
            return False
        if modifier and (modifier != _MODIFIER or name not in _STRINGS):
            raise unsupported(whole)
        taken = taking(self, name, value)
        if taken and modifier:
            self.search = replace(
                self.search, exact=(*self.search.exact, (name, text_of(whole, value)))
            )
        return taken

    def family(self, name: str, value: str) -> bool:
        if self.name.family is not None:
            raise twice(name)
        self.name = replace(self.name, family=text_of(name, value))
        return True

    def given(self, name: str, value: str) -> bool:
        self.name = replace(self.name, given=(*self.name.given, text_of(name, value)))
        return True

    def gender(self, name: str, value: str) -> bool:
        code = text_of(name, value).rpartition("|")[2]
        if code not in _GENDERS:
            raise invalid(name)
        if (sex := _GENDERS[code]) is not None:
            self._know(sex=sex)
        return sex is not None

    def birthdate(self, name: str, value: str) -> bool:
        condition = date_condition(text_of(name, value), name, self.now)
        self.search = replace(self.search, born=(*self.search.born, condition))
        digits = value.removeprefix("eq").replace("-", "")
        if condition.prefix is Prefix.EQ and digits.isdigit() and len(digits) <= _DAY:
            self._know(birth_date=digits)
        return True

    def identifier(self, name: str, value: str) -> bool:
        found: list[PatientId] = []
        domains: list[str] = []
        for part in values_of(name, value):
            pieces = [unescaped(piece) for piece in split_escaped(part, "|")]
            if len(pieces) != 2 or not pieces[0]:  # noqa: PLR2004 - system and value
                raise FhirProblem(
                    "fhir-value-invalid", "An identifier is asked with its system: system|value."
                )
            system = document_codes.fhir_system(pieces[0])
            if pieces[1]:
                found.append(PatientId(assigning_authority=system, id=pieces[1]))
            else:
                domains.append(system)
        self._know(identifiers=(*self.search.demographics.identifiers, *found))
        self.search = replace(self.search, domains=(*self.search.domains, *domains))
        return True

    def telecom(self, name: str, value: str) -> bool:
        system, _, rest = text_of(name, value).rpartition("|")
        scheme = _TELECOMS.get(system) or ("mailto:" if "@" in rest else "tel:")
        known = self.search.demographics.telecoms
        self._know(telecoms=(*known, Telecom(value=scheme + rest)))
        return bool(rest)

    def part(self, name: str, value: str) -> bool:
        self.place = replace(self.place, **{_ADDRESS[name]: text_of(name, value)})  # type: ignore[arg-type]
        return True

    def address(self, name: str, value: str) -> bool:
        self.search = replace(self.search, address=(*self.search.address, text_of(name, value)))
        return True

    def maiden(self, name: str, value: str) -> bool:
        self._know(mothers_maiden_name=PersonName(family=text_of(name, value)))
        return True

    def active(self, name: str, value: str) -> bool:
        text = text_of(name, value)
        if text not in ("true", "false"):
            raise invalid(name)
        self.search = replace(self.search, is_active=text == "true")
        return True

    def id(self, name: str, value: str) -> bool:
        self.search = replace(self.search, ids=tuple(values_of(name, value)))
        return True

    def count(self, name: str, value: str) -> bool:
        if not (value.isascii() and value.isdecimal() and len(value) <= _DAY):
            raise invalid(name)
        self.search = replace(self.search, count=min(int(value), MOST_COUNT))
        return True

    def revinclude(self, _name: str, value: str) -> bool:
        self.search = replace(self.search, provenance=value == _REVINCLUDE)
        return value == _REVINCLUDE

    def found(self) -> PersonSearch:
        known = self.search.demographics
        if self.name != PersonName():
            known = replace(known, names=(self.name,))
        if self.place != Address():
            known = replace(known, addresses=(self.place,))
        return replace(
            self.search,
            demographics=known,
        )

    def _know(self, **facts: object) -> None:
        known = replace(self.search.demographics, **facts)  # type: ignore[arg-type]
        self.search = replace(self.search, demographics=known)


_TAKING: Final[dict[str, Callable[[_Reader, str, str], bool]]] = {
    "_id": _Reader.id,
    "_count": _Reader.count,
    "_revinclude": _Reader.revinclude,
    "active": _Reader.active,
    "family": _Reader.family,
    "given": _Reader.given,
    "identifier": _Reader.identifier,
    "telecom": _Reader.telecom,
    "birthdate": _Reader.birthdate,
    "address": _Reader.address,
    **dict.fromkeys(_ADDRESS, _Reader.part),
    "gender": _Reader.gender,
    "mothersMaidenName": _Reader.maiden,
}
_STRINGS = frozenset({"family", "given", "address", *_ADDRESS, "mothersMaidenName"})

PARAMETERS: Final = tuple(_TAKING)
"""What is understood, for the CapabilityStatement."""


def keeps(search: PersonSearch, said: Demographics) -> bool:
    """Whether what a community said keeps the conditions that XCPD could not carry."""
    return (
        search.is_active
        and all(_says_exactly(said, name, text) for name, text in search.exact)
        and all(_lives_at(said, text) for text in search.address)
        and all(_born(said, condition) for condition in search.born)
    )


def _says_exactly(said: Demographics, name: str, text: str) -> bool:
    match name:
        case "family":
            return any(each.family == text for each in said.names)
        case "given":
            return any(text in each.given for each in said.names)
        case "mothersMaidenName":
            return said.mothers_maiden_name is not None and said.mothers_maiden_name.family == text
        case "address":
            return any(text in _parts(each) for each in said.addresses)
    return any(getattr(each, _ADDRESS[name]) == text for each in said.addresses)


def _lives_at(said: Demographics, text: str) -> bool:
    wanted = text.casefold()
    return any(
        part.casefold().startswith(wanted) for each in said.addresses for part in _parts(each)
    )


def _parts(address: Address) -> list[str]:
    fields = (address.city, address.state, address.postal_code, address.country)
    return [*address.lines, *(part for part in fields if part)]


def _born(said: Demographics, condition: DateCondition) -> bool:
    digits = (said.birth_date or "")[:_DAY]
    span = parse_span("-".join(p for p in (digits[:4], digits[4:6], digits[6:]) if p))
    return span is not None and condition.holds(span)
