"""Keyed tokens by which encounters and grants of a patient are found.

One for each identifier, and one for name, day of birth and sex together: people ask by name, and a
feed files by number. Where the sex is not said, that is a token of its own. Two people of the same
name, day of birth and sex share theirs; that is as far as a name can tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from node.ledger.private import LedgerKey
from node.model import Demographics, PatientId
from node.records.rules import default_rules
from node.records.traits import traits_of

MOST_MARKS: Final = 40
"""Tokens of one patient; further identifiers are left out."""

_WHOLE_DATE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPatient:
    """Whom a question is about.

    Attributes:
        identifiers: those that our own records give this person; never what somebody typed beside a
            name, which could be another patient's.
        person: who it is; of this, name, birth date and sex count together, identifiers do not.
    """

    identifiers: tuple[PatientId, ...] = ()
    person: Demographics | None = field(default=None, repr=False)


def identifier_marks(key: LedgerKey, identifiers: Iterable[PatientId]) -> tuple[bytes, ...]:
    """The tokens of identifiers."""
    marks = (key.token("encounter-patient", each.cx) for each in identifiers)
    return tuple(dict.fromkeys(marks))[:MOST_MARKS]


def patient_marks(key: LedgerKey, patient: AskedPatient) -> tuple[bytes, ...]:
    """All tokens of a patient: those of the identifiers, then those of name, day and sex."""
    marks = identifier_marks(key, patient.identifiers)
    if patient.person is None:
        return marks
    traits = traits_of(patient.person, default_rules())
    if len(traits.birth_date) == _WHOLE_DATE:
        marks += tuple(
            key.token(
                "encounter-person",
                f"{name.family}\x00{name.given}\x00{traits.birth_date}\x00{traits.sex}",
            )
            for name in traits.names
            if name.family and name.given
        )
    return tuple(dict.fromkeys(marks))[:MOST_MARKS]
