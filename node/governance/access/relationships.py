"""May this person ask other organisations about this patient, or do they have to break the glass?

For whoever is about to ask peers for a person at the console::

    access = console.relationships.access(
        user.login, user.clinician, AskedPatient(identifiers=..., person=...), now=now
    )
    if not access.allowed:
        ...  # nothing is asked; show access.sentence and the way to break the glass

``identifiers`` are those that our own records give the patient: an identifier that somebody typed
beside a name may be another patient's, and goes in only after a look-up showed whose it is. Ask
again before each page of the patient: a grant ends. ``access.grant`` is the grant that allows it,
for the banner (``grant.until``, ``grant.case``); ``None`` where a relationship was found.

A grant lets this node ask; it overrides no refusal of a peer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.governance.access.encounters import Encounters
from node.governance.access.grants import Grant, Grants
from node.governance.access.patient_marks import AskedPatient, patient_marks
from node.ledger.private import LedgerKey
from node.policy.relationship import Clinician, Relationship, Rules, relationship


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Whether a person may ask about a patient now, and the sentence that says why.

    Attributes:
        allowed: whether they may.
        sentence: for the person.
        relationship: the relationship that was found.
        grant: the grant by broken glass that allows it.
    """

    allowed: bool
    sentence: str
    relationship: Relationship | None = None
    grant: Grant | None = None


class Relationships:
    """Usable from several threads."""

    def __init__(
        self,
        encounters: Encounters,
        grants: Grants,
        key: LedgerKey,
        rules: Rules,
        *,
        required: bool,
    ) -> None:
        """Without ``required`` everybody with the right may ask; nothing is looked for."""
        self._encounters = encounters
        self._grants = grants
        self._key = key
        self._rules = rules
        self.required = required

    def access(
        self, login: str, clinician: Clinician, patient: AskedPatient, *, now: datetime
    ) -> Access:
        """Whether a person may ask about a patient.

        Raises:
            OurFault: ``encounter-unreadable``.
        """
        if not self.required:
            return _NOT_REQUIRED
        found = relationship(clinician, self._encounters.of(patient), self._rules, now=now)
        if found is not None:
            return Access(allowed=True, sentence=found.sentence, relationship=found)
        grant = self._grants.find(login, patient_marks(self._key, patient), now=now)
        if grant is not None:
            return Access(allowed=True, sentence=_BROKEN, grant=grant)
        return Access(allowed=False, sentence=_NONE_FOUND)


_NOT_REQUIRED = Access(
    allowed=True, sentence="This node does not ask for a treatment relationship."
)
_BROKEN = "You broke the glass for this patient."
_NONE_FOUND = (
    "The node knows of no visit, stay or appointment of this patient with you or your department."
)
