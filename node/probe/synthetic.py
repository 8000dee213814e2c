"""The questions that a connectivity test asks: about a person who does not exist.

Test patients of TEFCA are purposely synthetic, in production as well: the family name is
``QTFTEST-###``, the given name "<QHIN name> QTF TEST"; any purpose may be claimed for them (facts:
tefca 4.12). So ITI-55 asks for the test patient of the peer's QHIN: "nobody" and "the test patient"
are both clean answers. ITI-38 and ITI-39 would need an identifier that a peer gave for a person, so
they name a fresh one of an authority that cannot exist (an OID made of a random UUID, ITU-T X.667):
whatever the peer's matching does, it is nobody's.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from uuid import UUID

from node.model import (
    Demographics,
    DocumentRef,
    HomeCommunityId,
    Match,
    PatientId,
    PatientQuery,
    PersonName,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticPatient:
    """How the network's test patients are recognised, and which one we ask for."""

    family_prefix: str
    family: str
    given_suffix: str
    birth_date: str
    sex: str
    nobody_arc: str


@lru_cache
def synthetic_patient() -> SyntheticPatient:
    """The table shipped with this version."""
    text = resources.files("node.probe").joinpath("data/synthetic.toml").read_text("utf-8")
    return SyntheticPatient(**tomllib.loads(text))


def discovery_question(qhin: str) -> PatientQuery:
    """ITI-55: the test patient of a QHIN, by the QHIN's name."""
    known = synthetic_patient()
    name = PersonName(family=known.family, given=(f"{qhin} {known.given_suffix}",))
    return PatientQuery(
        demographics=Demographics(names=(name,), birth_date=known.birth_date, sex=known.sex)
    )


def is_test_patient(match: Match) -> bool:
    """Whether every name of a match is that of a test patient."""
    prefix = synthetic_patient().family_prefix.casefold()
    names = [name.family for name in match.demographics.names if name.family]
    return bool(names) and all(name.casefold().startswith(prefix) for name in names)


def is_named(match: Match) -> bool:
    """Whether a match says whom it means."""
    return any(name.family for name in match.demographics.names)


def nobodys_id(fresh: str) -> PatientId:
    """ITI-38: a patient id that nobody has; ``fresh`` is a new UUID."""
    return PatientId(assigning_authority=_oid(fresh), id=fresh)


def nobodys_document(fresh: str, home: HomeCommunityId) -> DocumentRef:
    """ITI-39: a document that nobody holds; ``fresh`` is a new UUID."""
    oid = _oid(fresh)
    return DocumentRef(
        home_community_id=home, repository_unique_id=oid, document_unique_id=f"{oid}.1"
    )


def _oid(fresh: str) -> str:
    return f"{synthetic_patient().nobody_arc}.{UUID(fresh).int}"
