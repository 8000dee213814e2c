"""People in the local index: found by blocking keys, scored, linked, joined.

Works on a connection that the caller opened, so that linking a document and writing it down are one
transaction. Reading cost hardly grows with the index: every lookup goes through an index, the keys
let few strangers in (``node.records.blocking``), most of those are turned away by what is stored
for comparing, and candidates are bounded (``[blocking]`` in ``data/matching.toml``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import combinations

from pydantic import TypeAdapter
from sqlalchemy import Connection, delete, or_, select, update

from node.model import Demographics, PatientId
from node.records.blocking import FORM, keys_of
from node.records.identity import merged, with_identifier
from node.records.lookup import EngineLookup, Lookup
from node.records.matching import Decision, Score, Verdict, decide, is_certainly_not, score_traits
from node.records.rules import Rules
from node.records.stored_traits import dumped, loaded
from node.records.tables import DOCUMENT, KEY, PATIENT
from node.records.traits import Traits, traits_of
from node.storage.bulk import insert_rows

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
    """How those worth comparing with a person compare, and what is known of the chosen ones.

    Scored are those who could be the person; ``people`` are all of the decision's.
    """

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
        self.form = form_of(rules, assigning_authority)

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
        self.insert_all(connection, ((local_id, person),), now)

    def insert_all(
        self, connection: Connection, people: Sequence[tuple[str, Demographics]], now: datetime
    ) -> None:
        """Write down new people, as ``insert`` does."""
        added = millis(now)
        traits = [self._traits(local_id, person) for local_id, person in people]
        insert_rows(
            connection,
            PATIENT,
            ("id", "demographics", "traits", "form", "added"),
            [
                (local_id, _DEMOGRAPHICS.dump_json(person), dumped(each), self.form, added)
                for (local_id, person), each in zip(people, traits, strict=True)
            ],
        )
        self._write_keys(
            connection, [(i, each) for (i, _), each in zip(people, traits, strict=True)]
        )

    def _update(self, connection: Connection, local_id: str, person: Demographics) -> None:
        traits = self._traits(local_id, person)
        connection.execute(
            update(PATIENT)
            .where(PATIENT.c.id == local_id)
            .values(
                demographics=_DEMOGRAPHICS.dump_json(person),
                traits=dumped(traits),
                form=self.form,
            )
        )
        connection.execute(delete(KEY).where(KEY.c.patient_id == local_id))
        self._write_keys(connection, [(local_id, traits)])

    def _write_keys(self, connection: Connection, people: Sequence[tuple[str, Traits]]) -> None:
        rows = [
            (key, local_id)
            for local_id, traits in people
            for key in dict.fromkeys(map(stored_key, keys_of(traits, self._rules)))
        ]
        insert_rows(connection, KEY, ("key", "patient_id"), rows)

    def reform(self, connection: Connection, ids: Sequence[str]) -> None:
        """Make traits and keys of people again, by the rules of now."""
        for local_id, person in self.known(EngineLookup(connection), ids).items():
            self._update(connection, local_id, person)

    def scored(
        self, lookup: Lookup, demographics: Demographics, *, everybody: bool = False
    ) -> Comparison:
        """Those worth comparing, their scores, and the decision among them.

        Only those who could match with certainty are scored, unless ``everybody`` is asked for.
        """
        traits = traits_of(demographics, self._rules)
        ids = self._candidate_ids(lookup, traits)
        return self._compared(lookup, traits, ids, everybody=everybody)

    def scored_if_few(
        self, lookup: Lookup, demographics: Demographics, *, most: int
    ) -> Comparison | None:
        """As ``scored``, or ``None`` where more than ``most`` people would have to be compared."""
        traits = traits_of(demographics, self._rules)
        ids = self._candidate_ids(lookup, traits)
        return None if len(ids) > most else self._compared(lookup, traits, ids, everybody=False)

    def _compared(
        self, lookup: Lookup, traits: Traits, ids: Sequence[str], *, everybody: bool
    ) -> Comparison:
        if not ids:
            return _NOBODY
        stored: dict[str, bytes] = {}
        scores: dict[str, Score] = {}
        for local_id, demographics, kept in lookup.people(ids):
            theirs = self._stored(local_id, demographics, kept)
            if everybody or not is_certainly_not(traits, theirs, self._rules):
                scores[local_id] = score_traits(traits, theirs, self._rules)
                stored[local_id] = demographics
        if not scores:
            return _NOBODY
        decision = decide(list(scores.items()), self._rules)
        chosen = (i for i in scores if scores[i].verdict is not Verdict.NO)
        people = {i: _DEMOGRAPHICS.validate_json(stored[i]) for i in chosen}
        return Comparison(decision=decision, people=people, scores=scores)

    def _candidate_ids(self, lookup: Lookup, traits: Traits) -> list[str]:
        """People who share a key, those who share most first; bounded per key and in all."""
        keys = tuple(dict.fromkeys(map(stored_key, keys_of(traits, self._rules))))
        shared: dict[str, int] = {}
        for _key, local_id in lookup.holders(keys, self._rules.per_key):
            shared[local_id] = shared.get(local_id, 0) + 1
        if len(shared) <= 1:
            return list(shared)
        ranked = sorted(shared, key=lambda i: (-shared[i], i))
        return ranked[: self._rules.candidates]

    def known(self, lookup: Lookup, ids: Sequence[str]) -> dict[str, Demographics]:
        """What is known of people, by local id."""
        return {
            local_id: _DEMOGRAPHICS.validate_json(stored)
            for local_id, stored, _traits in lookup.people(ids)
        }

    def _traits(self, local_id: str, person: Demographics) -> Traits:
        return traits_of(with_identifier(person, self.patient_id(local_id)), self._rules)

    def _stored(self, local_id: str, demographics: bytes, kept: bytes | None) -> Traits:
        """The traits as they were kept, or those of a person whom an older node wrote."""
        if kept is not None:
            return loaded(kept)
        return self._traits(local_id, _DEMOGRAPHICS.validate_json(demographics))

    def patient_id(self, local_id: str) -> PatientId:
        """A local id with our assigning authority."""
        return PatientId(assigning_authority=self._authority, id=local_id)


def form_of(rules: Rules, assigning_authority: str) -> str:
    """Names the rules that traits and keys are made by: people of another form are made again."""
    facts = (
        sorted(rules.generations.items()),
        sorted(rules.placeholders),
        sorted(rules.unknown),
        sorted(rules.particles),
        sorted(rules.street.items()),
        (rules.ssn_root, sorted(rules.ssn_placeholders)),
        (rules.keys, rules.compared, rules.identifiers),
        assigning_authority,
    )
    return f"{FORM}-{sha256(repr(facts).encode()).hexdigest()[:16]}"


def stored_key(key: str) -> str:
    """A key in its stored form: a long one is replaced by its digest."""
    return key if len(key) <= _KEY_LENGTH else sha256(key.encode()).hexdigest()


def millis(now: datetime) -> int:
    """An aware instant as milliseconds since 1970, as the tables keep it."""
    return int(now.timestamp() * 1000)
