"""Legs for the ledger's tests, full of canaries: strings that must never be seen in the clear."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from node.model import (
    Direction,
    ExchangeId,
    HomeCommunityId,
    Leg,
    LegId,
    LegRecord,
    Outcome,
    PatientId,
    Peer,
    PrivateFacts,
    RegistryError,
    Transaction,
)

START = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
OWN = HomeCommunityId("urn:oid:2.999.1")
PEER = Peer(
    organization_id="org-2",
    home_community_id=HomeCommunityId("urn:oid:2.999.2"),
    name="Canary General Hospital",
    address="https://canary-peer.example/xcpd",
)
PATIENT = PatientId(assigning_authority="2.999.2.1", id="CANARYMRN777")
USER = "canary.user@hospital.example"
CANARIES = (
    "Canaryson", "CANARYMRN777", "19691231", "Canary Lane", "canary.user", "Canary General",
    "canary-peer", "canary sentence", "canary context", "CANARYDOC", "_canary-assertion",
)  # fmt: skip

_ids = count(1)


def new_id() -> str:
    """A new UUID text."""
    return str(UUID(int=(0x7000 << 64) | next(_ids)))


def leg(**changes: object) -> Leg:
    """A leg that ended well, with changes."""
    made = Leg(
        leg_id=LegId(new_id()),
        exchange_id=ExchangeId(new_id()),
        direction=Direction.INITIATING,
        transaction=Transaction.ITI_55,
        peer=PEER,
        outcome=Outcome.OK,
        started=START + timedelta(milliseconds=next(_ids)),
        duration_ms=12,
        sentence="A canary sentence.",
        documents=1,
        message_id=f"urn:uuid:{new_id()}",
        relates_to=f"urn:uuid:{new_id()}",
        errors=(RegistryError(code="XDSRegistryError", context="canary context"),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def private() -> PrivateFacts:
    """Private facts in the shapes of ``node.exchange.private``."""
    return PrivateFacts(
        who={"user_id": USER, "subject_id": "Dr. Canaryson"},
        patient={"ids": [PATIENT.cx]},
        query={
            "demographics": {
                "names": [{"family": "Canaryson"}],
                "birth_date": "19691231",
                "addresses": [{"lines": ["1 Canary Lane"]}],
                "identifiers": [{"assigning_authority": "2.999.1.1", "id": "CANARYMRN888"}],
            }
        },
        docs=[{"id": "CANARYDOC.1", "repository": "2.999.2.5"}],
    )


def record(*, facts: PrivateFacts | None = None, **changes: object) -> LegRecord:
    """A record of a leg; changes named like fields of the leg go there."""
    of_record = {n: changes.pop(n) for n in list(changes) if n in LegRecord.__slots__}
    made = LegRecord(
        leg=leg(**changes),
        own=OWN,
        purpose="T-TREAT",
        peer_key=hashlib.sha256(b"key").hexdigest(),
        assertion_id="_canary-assertion",
        binding="anchor+name",
        policy_rules=("in-1-purpose", "in-2-peer"),
        directory_version="2026-11-01.1",
        request_digest=hashlib.sha256(b"request").digest(),
        response_digest=hashlib.sha256(b"response").digest(),
        deviations=("time-iso", "value-as-text"),
        private=private() if facts is None else facts,
    )
    return replace(made, **of_record)  # type: ignore[arg-type]
