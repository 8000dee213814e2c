"""Two nodes of ours: a document that one lists by a link is read at the other; both enter it."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

from node_network import now
from test_fhir_authorization import ORSOLYA, PURPOSE, Pair, made, pair

from node.console.clinic.listed import listed
from node.console.clinic.opening import Documents
from node.console.clinic.request import ClinicRequest, FoundDocument, Held, Progress
from node.exchange.fhir_broker import is_ended
from node.exchange.fhir_question import question_of
from node.exchange.network_ports import KnownAt
from node.fhir_brokering import asking_network
from node.identity import FhirClient, FhirServer
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.live_trust import LiveTrust
from node.model import Demographics, ExchangeId, HomeCommunityId
from node.opened import fhir_loader
from node.peers.sealed_inbox import SealedInbox
from node.records.folder import load_folder
from tests.fhir_world import bundle

__all__ = ["made", "pair"]  # fixtures

NOTE = b"Seen today, all is well.\n" * 40


def reference(id_: str, content: bytes, hash_of: bytes) -> dict[str, object]:
    sha1 = hashlib.sha1(hash_of, usedforsecurity=False).digest()
    attachment = {
        "contentType": "text/plain",
        "url": f"Binary/{id_}",
        "size": len(content),
        "hash": base64.b64encode(sha1).decode(),
    }
    return {
        "resourceType": "DocumentReference",
        "id": f"doc-{id_}",
        "status": "current",
        "date": "2026-05-01T10:00:00Z",
        "subject": {"reference": "Patient/orsolya"},
        "content": [{"attachment": attachment}],
    }


def binary(id_: str, content: bytes) -> dict[str, object]:
    return {
        "resourceType": "Binary",
        "id": id_,
        "contentType": "text/plain",
        "data": base64.b64encode(content).decode(),
    }


RECORDS = bundle(
    ORSOLYA,
    reference("b1", NOTE, NOTE),
    binary("b1", NOTE),
    reference("b2", NOTE, b"another version"),
    binary("b2", NOTE),
)


def legs(site, step: str) -> list[tuple[str, str, str | None, str]]:
    found = [e.fields for e in site.ledger() if e.fields["txn"] == step]
    return [(f["dir"], f["outcome"], f.get("reason"), f["msg"]) for f in found]


async def test_a_document_behind_a_link_is_fetched_over_udap_and_stands_in_both_logs(
    pair: Pair, tmp_path
):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "people.json").write_bytes(RECORDS)
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        there = pair.there
        load_folder(tmp_path / "in", there.index, there.content, now(), fhir=fhir_loader(there))
        ledger = ExchangeLedger(pair.here.engine, load_key(pair.lake.home.path))
        trust = LiveTrust(pair.lake.home, pair.here.clock.now)
        try:
            async with asking_network(pair.here, ledger, trust) as network:
                hill = HomeCommunityId(pair.hill.hcid)
                known = KnownAt(home_community_id=hill, fhir_id="orsolya")
                question = question_of("DocumentReference", [], now=pair.here.clock.now())
                events = network.broker.search(pair.principal(), [known], question)
                (answer,) = [e.answer async for e in events if is_ended(e)]
                documents = Documents(
                    initiator=None,
                    broker=network.broker,
                    inbox=SealedInbox(
                        tmp_path / "sealed",
                        max_bytes=10_000,
                        max_all_bytes=90_000,
                        left_before=now(),
                    ),
                    clock=network.clock,
                    keep=timedelta(minutes=5),
                )
                asked = request(pair, answer.entries)
                failed = await documents.fetch(asked, [1, 2])
                (good,) = {1, 2} - set(failed)
                kept = documents.kept(asked, good)
                assert kept is not None
                assert documents.data(kept) == NOTE
                assert [each.code for each in failed.values()] == ["fhir-attachment-changed"]
        finally:
            ledger.close()
    ours, theirs = legs(pair.lake, "FHIR-READ"), legs(pair.hill, "FHIR-READ")
    assert sorted(each[:3] for each in ours) == [
        ("initiating", "failed", "fhir-attachment-changed"),
        ("initiating", "ok", None),
    ]
    assert [each[:3] for each in theirs] == [("responding", "ok", None)] * 2
    assert {each[3] for each in ours} == {each[3] for each in theirs}


def request(pair: Pair, entries) -> ClinicRequest:
    """A request that found these DocumentReferences."""
    home = HomeCommunityId(pair.hill.hcid)
    found = [each for entry in entries for each in listed(home, entry)]
    return ClinicRequest(
        token="t",
        login="isample",
        principal=pair.principal(),
        exchange_id=ExchangeId("01a21dae-c50b-76a0-a134-73fc1684228e"),
        began=now(),
        progress=Progress.ENDED,
        demographics=Demographics(),
        documents=tuple(
            FoundDocument(
                number=number,
                leg=1,
                home=home,
                organization="Hill Health",
                identity=1,
                entry=entry,
                patient_id=None,
                held=Held.OPEN,
                resource=resource,
            )
            for number, (entry, resource) in enumerate(found, start=1)
        ),
    )
