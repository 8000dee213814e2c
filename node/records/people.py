"""People in the local index: found by blocking keys, scored, linked, joined.

Works on a connection that the caller opened, so that linking a document and writing it down are one
transaction. Reading cost does not grow with the index: every lookup goes through an index, and
candidates are bounded (``[blocking]`` in ``data/matching.toml``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import combinations

from pydantic import TypeAdapter
from sqlalchemy import Connection, delete, insert, or_, select, update

from node.model import Demographics, PatientId
from node.records.blocking import ENOUGH, keys_of, weight
from node.records.identity import merged, with_identifier
from node.records.lookup import EngineLookup, Lookup
from node.records.matching import Decision, Score, decide, score_traits
from node.records.rules import Rules
from node.records.tables import DOCUMENT, KEY, PATIENT
from node.records.traits import Traits, traits_of

_DEMOGRAPHICS = TypeAdapter(Demographics)
_KEY_LENGTH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The identity that a document belongs to.

    ``joined`` counts the identities united for it; ``ambiguous`` means that it is new although
    several people matched with certainty.
    """

    local_id: str
    new: bool = False
    ambiguous: bool = False
    joined: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everybody worth comparing with a person: what is known of them, and how they compare."""

    decision: Decision[str]
    people: dict[str, Demographics]
    scores: dict[str, Score]


_NOBODY = Comparison(decision=Decision(certain=None), people={}, scores={})


class People:
    """Reads and writes people under one assigning authority."""

    def __init__(self, assigning_authority: str, rules: Rules) -> None:
        """``rules`` weigh demographics and bound the search."""
        self._authority = assigning_authority
        self._rules = rules

    def place(
        self, connection: Connection, person: Demographics, *, seed: str, now: datetime
    ) -> Placed:
        """Link a document's person to an identity, or make one.

        ``seed`` names the document; the new identity's id is derived from it, so that loading the
        same documents again gives the same ids.
        """
        compared = self.scored(EngineLookup(connection), person)
        decision, people = compared.decision, compared.people
        chosen, joined = decision.certain, 0
        if chosen is None and decision.ambiguous and self._are_one(decision.ambiguous, people):
            chosen = self._join(connection, decision.ambiguous, people)
            joined = len(decision.ambiguous)
        if chosen is not None:
            self._update(connection, chosen, merged(people[chosen], person))
            return Placed(local_id=chosen, joined=joined)
        local_id = sha256(f"patient:{seed}".encode()).hexdigest()[:32]
        self.insert(connection, local_id, person, now)
        return Placed(local_id=local_id, new=True, ambiguous=bool(decision.ambiguous))

    def _are_one(self, ids: Sequence[str], people: dict[str, Demographics]) -> bool:
        """Whether identities that a document bridges do not contradict each other."""
        traits = {i: traits_of(people[i], self._rules) for i in ids}
        return all(
            not score_traits(traits[a], traits[b], self._rules).vetoes
            for a, b in combinations(ids, 2)
        )

    def _join(
        self, connection: Connection, ids: Sequence[str], people: dict[str, Demographics]
    ) -> str:
        """Unite identities under the oldest; the others' ids lead to it."""
        query = select(PATIENT.c.id).where(PATIENT.c.id.in_(ids))
        kept = connection.execute(query.order_by(PATIENT.c.added, PATIENT.c.id)).scalars().first()
        survivor = str(kept)
        for other in sorted(set(ids) - {survivor}):
            people[survivor] = merged(people[survivor], people[other])
            connection.execute(delete(KEY).where(KEY.c.patient_id == other))
            connection.execute(
                update(PATIENT)
                .where(or_(PATIENT.c.id == other, PATIENT.c.merged_into == other))
                .values(merged_into=survivor)
            )
            connection.execute(
                update(DOCUMENT).where(DOCUMENT.c.patient_id == other).values(patient_id=survivor)
            )
        return survivor

    def insert(
        self, connection: Connection, local_id: str, person: Demographics, now: datetime
    ) -> None:
        """Write down a new person with the keys to find them by."""
        connection.execute(
            insert(PATIENT).values(
                id=local_id, demographics=_DEMOGRAPHICS.dump_json(person), added=millis(now)
            )
        )
        self._write_keys(connection, local_id, person)

    def _update(self, connection: Connection, local_id: str, person: Demographics) -> None:
        connection.execute(
            update(PATIENT)
            .where(PATIENT.c.id == local_id)
            .values(demographics=_DEMOGRAPHICS.dump_json(person))
        )
        connection.execute(delete(KEY).where(KEY.c.patient_id == local_id))
        self._write_keys(connection, local_id, person)

    def _write_keys(self, connection: Connection, local_id: str, person: Demographics) -> None:
        traits = self._traits(local_id, person)
        rows = [
            {"key": k, "patient_id": local_id}
            for k in dict.fromkeys(map(_short, keys_of(traits, self._rules)))
        ]
        connection.execute(insert(KEY), rows)

    def scored(self, lookup: Lookup, demographics: Demographics) -> Comparison:
        """Everybody worth comparing, their scores, and the decision among them."""
        traits = traits_of(demographics, self._rules)
        return self._compared(lookup, traits, self._candidate_ids(lookup, traits))

    def scored_if_few(
        self, lookup: Lookup, demographics: Demographics, *, most: int
    ) -> Comparison | None:
        """As ``scored``, or ``None`` where more than ``most`` people would have to be compared."""
        traits = traits_of(demographics, self._rules)
        ids = self._candidate_ids(lookup, traits)
        return None if len(ids) > most else self._compared(lookup, traits, ids)

    def _compared(self, lookup: Lookup, traits: Traits, ids: Sequence[str]) -> Comparison:
        if not ids:
            return _NOBODY
        people = self.known(lookup, ids)
        scores = {
            i: score_traits(traits, self._traits(i, person), self._rules)
            for i, person in people.items()
        }
        return Comparison(
            decision=decide(list(scores.items()), self._rules), people=people, scores=scores
        )

    def _candidate_ids(self, lookup: Lookup, traits: Traits) -> list[str]:
        """People who share a key, those who share most first; bounded per key and in all."""
        weights = {_short(key): weight(key) for key in keys_of(traits, self._rules)}
        shared: dict[str, int] = {}
        for key, local_id in lookup.holders(tuple(weights), self._rules.per_key):
            shared[local_id] = shared.get(local_id, 0) + weights[key]
        enough = (i for i in shared if shared[i] >= ENOUGH)
        ranked = sorted(enough, key=lambda i: (-shared[i], i))
        return ranked[: self._rules.candidates]

    def known(self, lookup: Lookup, ids: Sequence[str]) -> dict[str, Demographics]:
        """What is known of people, by local id."""
        return {
            local_id: _DEMOGRAPHICS.validate_json(stored)
            for local_id, stored in lookup.demographics(ids)
        }

    def _traits(self, local_id: str, person: Demographics) -> Traits:
        return traits_of(with_identifier(person, self.patient_id(local_id)), self._rules)

    def patient_id(self, local_id: str) -> PatientId:
        """A local id with our assigning authority."""
        return PatientId(assigning_authority=self._authority, id=local_id)


def _short(key: str) -> str:
    """A key in its stored form: a long one is replaced by its digest."""
    return key if len(key) <= _KEY_LENGTH else sha256(key.encode()).hexdigest()


def millis(now: datetime) -> int:
    """An aware instant as milliseconds since 1970, as the tables keep it."""
    return int(now.timestamp() * 1000)
