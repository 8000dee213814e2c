"""The people, clinicians and organisations of the sample network: ``data/network.toml`` as values.

Everybody is made up; identifiers are below the OID arc 2.999, which is kept for examples.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from itertools import product
from typing import Any

from node.model import Address, Demographics, HomeCommunityId, PatientId, PersonName, Telecom


class Behaviour(StrEnum):
    """What an organisation of the sample network does when it is asked."""

    HOLDS = "holds"
    DOES_NOT_KNOW = "does-not-know"
    DECLINES = "declines"
    IS_SLOW = "is-slow"
    IS_DOWN = "is-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A health system of the sample network; ``oid`` is its arc, its HCID the same as a URN."""

    key: str
    name: str
    oid: str
    npi: str
    behaviour: Behaviour | None = None

    @property
    def home_community_id(self) -> HomeCommunityId:
        """``urn:oid:…``."""
        return HomeCommunityId(f"urn:oid:{self.oid}")

    @property
    def numbers_authority(self) -> str:
        """OID under which the organisation numbers its patients in documents."""
        return f"{self.oid}.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A made-up person; ``numbers`` are medical record numbers by organisation key."""

    key: str
    given: tuple[str, ...]
    family: str
    sex: str
    birth_date: str
    street: str
    city: str
    state: str
    postal_code: str
    telephone: str
    numbers: Mapping[str, str]

    @property
    def name(self) -> str:
        """As a person reads it."""
        return f"{' '.join(self.given)} {self.family}"

    def demographics(self, identifiers: tuple[PatientId, ...] = ()) -> Demographics:
        """What an asking health system knows of the person (QTF-708: all that is known)."""
        return Demographics(
            names=(PersonName(family=self.family, given=self.given, use="L"),),
            birth_date=self.birth_date,
            sex=self.sex,
            addresses=(
                Address(
                    lines=(self.street,),
                    city=self.city,
                    state=self.state,
                    postal_code=self.postal_code,
                    country="US",
                ),
            ),
            telecoms=(Telecom(value=f"tel:{self.telephone}", use="HP"),),
            identifiers=identifiers,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinician:
    """A made-up author; ``taxonomy`` is the code and text of the specialty (NUCC)."""

    key: str
    given: str
    family: str
    works_for: str
    taxonomy: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Everybody in the sample network.

    ``network`` is the QHIN over all organisations, ``patient`` the key of the person asked for.
    ``prying`` misuses the network, and ``pried`` is whom it asks about.
    """

    network: Organisation
    asking: Organisation
    answering: tuple[Organisation, ...]
    people: Mapping[str, Person]
    clinicians: Mapping[str, Clinician]
    patient: str
    purpose: str
    prying: Organisation
    pried: tuple[Demographics, ...]

    def organisation(self, key: str) -> Organisation:
        """An organisation by its key. Raises ``KeyError``."""
        return {o.key: o for o in (self.asking, *self.answering)}[key]


@lru_cache
def cast() -> Cast:
    """The cast shipped with this version."""
    table = read_table("network")
    return Cast(
        network=Organisation(key="network", **table["network"]),
        asking=Organisation(**table["asking"]),
        answering=tuple(_answering(row) for row in table["answering"]),
        people={
            key: Person(key=key, **{**row, "given": tuple(row["given"])})
            for key, row in table["people"].items()
        },
        clinicians={
            key: Clinician(key=key, **{**row, "taxonomy": tuple(row["taxonomy"])})
            for key, row in table["clinicians"].items()
        },
        patient=table["patient"],
        purpose=table["purpose"],
        prying=Organisation(**table["prying"]),
        pried=tuple(_pried(table["pried"])),
    )


def _pried(row: dict[str, Any]) -> Iterator[Demographics]:
    """Each given name with each family name, born a year after the one before."""
    for place, (family, given) in enumerate(product(row["family"], row["given"])):
        yield Demographics(
            names=(PersonName(family=family, given=(given,), use="L"),),
            birth_date=f"{row['birth_year'] + place}0{1 + place % 9}1{place % 9}",
            sex=row["sex"][place % 2],
        )


def read_table(name: str) -> dict[str, Any]:
    """One of the data files beside this module."""
    text = resources.files("node.demo").joinpath(f"data/{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def _answering(row: dict[str, Any]) -> Organisation:
    return Organisation(**{**row, "behaviour": Behaviour(row["behaviour"])})
