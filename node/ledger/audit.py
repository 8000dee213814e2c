"""From a ledger entry to what an audit record says of it. Pure.

This is the one place where an entry (its leaf, and those of its private groups that are open)
becomes a ``node.wire.audit_event.AuditEvent``. The mapping is written down, field by field, in
``data/audit_mapping.toml``; a test holds the two together.

Without private groups (not asked for, or erased) there is no user, patient, question or document in
the record, and the rest stays true.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from node.ledger import leaf
from node.ledger.audit_query import (
    FHIR_QUESTIONS,
    discovery_of,
    patient_of,
    patients_in,
    resource_of,
    search_of,
    stored_query_of,
)
from node.ledger.erasure_codes import erasure_sentence
from node.ledger.trust_change import sentence
from node.model import Authorization, Code, Direction, Interaction, Outcome, Transaction
from node.policy.purposes import purpose_register
from node.wire.audit_event import AuditEvent, Document, Machine, Part, Person, Query

Groups = Mapping[str, Any]
"""The private groups that are open, as JSON values by their names."""

_DOCUMENTS: Final = (Transaction.ITI_39, Interaction.NETWORK_DOCUMENT)
_MOVED_TO_THE_ASKER: Final = (*_DOCUMENTS, Interaction.READ)
_SAMPLED: Final = "00"  # nobody records spans under this trace yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """This node as its audit records name it; ``addresses`` are those of its gateway."""

    name: str
    home_community_id: str
    address: str | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)

    def machine(self, transaction: str | None = None) -> Machine:
        """The node, at the address of a transaction."""
        return Machine(
            home_community_id=self.home_community_id,
            address=self.addresses.get(transaction or "", self.address),
            name=self.name,
        )


def audit_event(
    data: bytes, fields: leaf.Leaf, groups: Groups, site: Site, *, erased: Sequence[str] = ()
) -> AuditEvent:
    """What an audit record says of an entry.

    Args:
        data: the leaf's bytes.
        fields: the same, decoded.
        groups: the private groups that are open.
        site: this node.
        erased: the private groups that are no more; the record says so.
    """
    make = _exchange if fields["kind"] == leaf.Kind.EXCHANGE else _own
    event = make(data, fields, groups, site)
    if not erased:
        return event
    return replace(event, details={**event.details, "erased": ", ".join(erased)})


def details_of(data: bytes, fields: leaf.Leaf) -> dict[str, str]:
    """Its number in the log, the leaf hash of its proofs, and the peer's directory id."""
    found = {"seq": str(fields["seq"]), "leaf-hash": leaf.from_bytes(leaf.leaf_hash(data))}
    return found | ({"organization": str(fields["org"])} if "org" in fields else {})


# --- exchanges ----------------------------------------------------------------------------------


def _exchange(data: bytes, fields: leaf.Leaf, groups: Groups, site: Site) -> AuditEvent:
    transaction = str(fields["txn"])
    wire = _group(groups, "wire")
    ours = site.machine(transaction)
    theirs = Machine(
        home_community_id=_text(fields, "peer") or _unfit(wire, "peer"),
        address=wire.get("address"),
        name=wire.get("name"),
    )
    asked_by_us = fields["dir"] == Direction.INITIATING
    asking, answering = (ours, theirs) if asked_by_us else (theirs, ours)
    # a document goes the other way than its question (facts: ihe-wire 9)
    to_asking = transaction in _MOVED_TO_THE_ASKER
    message_id = _text(fields, "msg") or _unfit(wire, "msg")
    query = _group(groups, "query")
    patients = tuple(
        patient
        for cx in _group(groups, "patient").get("ids", ())
        if (patient := patient_of(cx)) is not None
    )
    return AuditEvent(
        occasion=f"{transaction}/{fields['dir']}",
        type=transaction,
        type_name=_full_name(transaction),
        recorded=str(fields["t"]),
        ended=_ended(fields),
        outcome=str(fields["outcome"]),
        reason=_text(fields, "reason") or _unfit(wire, "reason"),
        explanation=_explanation(wire),
        source=answering if to_asking else asking,
        destination=asking if to_asking else answering,
        requester="destination" if to_asking else "source",
        own=ours,
        person=_person(groups),
        purpose=_purpose(fields, groups),
        patients=patients or patients_in(query),
        query=_query(transaction, query, message_id, answering.home_community_id),
        submission=_submission(query),
        parts=_parts(transaction, fields, groups, answering.home_community_id),
        message_id=message_id,
        entry_id=str(fields["id"]),
        trace=_trace(fields),
        leaf=data,
        details=details_of(data, fields) | _digests(wire) | _refusal(groups),
    )


def _full_name(transaction: str) -> str:
    """Of a step that this version does not know, the code itself: its entries are told as well."""
    steps = {str(step): step for step in (*Transaction, *Interaction, *Authorization)}
    return steps[transaction].full_name if transaction in steps else transaction


def _query(
    transaction: str, group: Groups, message_id: str | None, home: str | None
) -> Query | None:
    match transaction:
        case Transaction.ITI_55:
            return discovery_of(group, message_id=message_id or "unknown", home=home)
        case Transaction.ITI_38:
            return stored_query_of(group, home=home)
        case _ if transaction in FHIR_QUESTIONS:
            return search_of(group, transaction)
        case _:
            return None


def _parts(
    transaction: str, fields: leaf.Leaf, groups: Groups, home: str | None
) -> tuple[Part, ...]:
    """One message; of a retrieve one for documents that came, one for those that did not.

    CP-493 (facts: ihe-wire 9). What came has succeeded, however the whole ended.
    """
    outcome = str(fields["outcome"])
    if transaction == Interaction.READ:
        named = resource_of(_group(groups, "query"))
        read = (Document(id=named, is_resource=True),) if named else ()
        return (Part(outcome=outcome, documents=read),)
    if transaction == Transaction.ITI_80:
        # taken whole or not at all
        return (Part(outcome=outcome, documents=_documents(groups, None)),)
    if transaction not in _DOCUMENTS:
        return (Part(outcome=outcome),)
    came = _documents(groups, home)
    ids = {document.id for document in came}
    missed = tuple(
        Document(id=name, home_community_id=home)
        for name in _group(groups, "query").get("documents", ())
        if name not in ids
    )
    failed = outcome if outcome not in (Outcome.OK, Outcome.PARTIAL) else Outcome.FAILED.value
    found = []
    if came:
        found.append(Part(outcome=Outcome.OK.value, documents=came))
    if missed:
        found.append(Part(outcome=failed, documents=missed))
    return tuple(found) or (Part(outcome=outcome),)


def _documents(groups: Groups, home: str | None) -> tuple[Document, ...]:
    """Those that are in the private record; ``home`` is the community that holds them."""
    held = groups.get("docs")
    return tuple(
        Document(
            id=row["id"],
            repository=row.get("repository"),
            home_community_id=home,
            sha256=row.get("sha256"),
        )
        for row in (held if isinstance(held, list) else ())
    )


def _submission(query: Groups) -> str | None:
    found = query.get("submission_set")
    return found if isinstance(found, str) else None


def _person(groups: Groups) -> Person | None:
    who, wire = _group(groups, "who"), _group(groups, "wire")
    if isinstance(who.get("client_id"), str):
        return _client(who)
    if not isinstance(who.get("user_id"), str):
        return None
    role = who.get("role")
    return Person(
        user_id=who["user_id"],
        issuer=wire.get("issuer"),
        assertion_id=wire.get("assertion_id"),
        name=who.get("subject_id"),
        role=Code(**role) if isinstance(role, dict) else None,
        npi=who.get("npi"),
        organization=who.get("organization"),
        organization_id=who.get("organization_id"),
        home_community_id=who.get("home_community_id"),
    )


def _client(who: Groups) -> Person:
    """The FHIR client, or the user behind it; its token by a digest (RFC 6920)."""
    token = who.get("token")
    grant = None
    if isinstance(token, str):
        digest = base64.urlsafe_b64encode(bytes.fromhex(token)).rstrip(b"=").decode("ascii")
        grant = f"ni:///sha-256;{digest}"
    return Person(
        user_id=str(who.get("user_id") or who["client_id"]),
        name=who.get("subject_id"),
        grant=grant,
        organization=who.get("organization"),
        organization_id=who.get("organization_id"),
    )


def _purpose(fields: leaf.Leaf, groups: Groups) -> Code | None:
    """As asserted; without the private group, the code of the leaf in its own code system."""
    asserted = _group(groups, "who").get("purpose")
    if isinstance(asserted, dict):
        return Code(**asserted)
    purpose = purpose_register().by_code(_text(fields, "purpose") or "")
    return purpose.code if purpose else None


def _explanation(wire: Groups) -> str | None:
    said = [wire["sentence"]] if wire.get("sentence") else []
    for error in wire.get("errors", ()):
        context = f": {error['context']}" if error.get("context") else ""
        said.append(f"{error['code']}{context}")
    return " ".join(said) or None


def _digests(wire: Groups) -> dict[str, str]:
    return {
        f"{place}-sha256": wire[place]["digest"]
        for place in ("request", "response")
        if isinstance(wire.get(place), dict)
    }


def _refusal(groups: Groups) -> dict[str, str]:
    """What the check of an identity that was refused found."""
    detail = _group(groups, "who").get("detail")
    return {"refusal": detail} if isinstance(detail, str) else {}


def _ended(fields: leaf.Leaf) -> str:
    began = datetime.fromisoformat(str(fields["t"]))
    return leaf.from_time(began + timedelta(milliseconds=int(fields["dur_ms"])))


def _trace(fields: leaf.Leaf) -> str:
    """A W3C traceparent of the entry's own ids: one trace for an exchange, one span for a leg."""
    trace = str(fields.get("exch", fields["id"])).replace("-", "")
    return f"00-{trace}-{str(fields['id']).replace('-', '')[-16:]}-{_SAMPLED}"


# --- what is no exchange ------------------------------------------------------------------------


def _own(data: bytes, fields: leaf.Leaf, groups: Groups, site: Site) -> AuditEvent:
    """A change of trust, an act of an operator, an erasure, a sign of life."""
    kind, act = str(fields["kind"]), _text(fields, "act")
    who, wire = _group(groups, "who"), _group(groups, "wire")
    user = who.get("user_id")
    return AuditEvent(
        occasion="log-export" if act == "log-export" else kind,
        type=act or kind,
        type_name=(act or kind).replace("-", " "),
        recorded=str(fields["t"]),
        outcome=str(fields.get("step", Outcome.OK.value)),
        reason=_text(fields, "reason") or _unfit(wire, "reason"),
        explanation=sentence(fields) or erasure_sentence(fields),
        own=site.machine(),
        person=Person(user_id=user) if isinstance(user, str) else None,
        parts=(Part(outcome=str(fields.get("step", Outcome.OK.value))),),
        subject=_text(fields, "org") or _text(fields, "peer"),
        entry_id=str(fields["id"]),
        trace=_trace(fields),
        leaf=data,
        details=details_of(data, fields)
        | {name: str(value) for name, value in sorted(wire.items()) if isinstance(value, str)},
    )


# --- reading ------------------------------------------------------------------------------------


def _group(groups: Groups, name: str) -> Groups:
    found = groups.get(name)
    return found if isinstance(found, dict) else {}


def _text(fields: leaf.Leaf, name: str) -> str | None:
    found = fields.get(name)
    return None if found is None else str(found)


def _unfit(wire: Groups, name: str) -> str | None:
    """A value that did not have the form of its field."""
    found = wire.get("unfit")
    return found.get(name) if isinstance(found, dict) else None
