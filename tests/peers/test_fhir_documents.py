"""Documents that FHIR servers name by a link: each comes from its server, or ends as what it is."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from sim.clock import START
from sim.network import principal

from node.errors import TheirFault
from node.exchange.fhir_peer_ports import LinkedDocument
from node.model import DocumentRef, PatientId
from node.peers.fhir_client import attachment_url
from node.peers.sealed_inbox import SealedInbox
from node.wire.fhir.attachment import Attachment
from tests.peers.test_fhir_peers import PEER, Asked, Reply, World, always, world

PDF = b"%PDF-1.7\n" + b"x" * 5000
XML = b"<ClinicalDocument/>"


def sha1(data: bytes) -> str:
    return base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def said(**more: Any) -> Attachment:
    return replace(
        Attachment(url="Binary/b1", media_type="application/pdf", size=len(PDF), hash=sha1(PDF)),
        **more,
    )


class Fetching:
    """One fetch into a sealed inbox."""

    def __init__(self, there: World, folder) -> None:
        self.there = there
        self.folder = folder
        self.inbox = SealedInbox(
            folder, max_bytes=200_000, max_all_bytes=900_000, left_before=START
        )

    async def fetch(self, attachment: Attachment):
        document = LinkedDocument(
            ref=DocumentRef(
                home_community_id=PEER.home_community_id,
                repository_unique_id="",
                document_unique_id="d.0",
            ),
            attachment=attachment,
            person=(PatientId(assigning_authority="2.999.4", id="7"),),
        )
        return await self.there.broker.fetch(principal(), document, self.inbox)


def binary(content: bytes, kind: str = "application/pdf", **more: Any) -> dict[str, Any]:
    data = base64.b64encode(content).decode()
    return {"resourceType": "Binary", "contentType": kind, "data": data, **more}


# --- good ones --------------------------------------------------------------------------------


async def test_a_document_comes_whole_from_the_peers_own_server_and_is_entered(us, them, tmp_path):
    async with world(us, them, always(PDF, media="application/pdf")) as there:
        fetching = Fetching(there, tmp_path)
        result = await fetching.fetch(said())
        assert result.answer is not None
        assert fetching.inbox.read(result.answer.token) == PDF
        (asked,) = there.server.asked
    assert (asked.method, asked.path, asked.query) == ("GET", "/fhir/Binary/b1", "")
    assert asked.token == "token-0"
    assert there.legs == [("FHIR-READ", "ok", None)]
    (record,) = there.ledger.records
    assert record.leg.documents == 1
    assert record.response_digest == hashlib.sha256(PDF).digest()
    assert record.request_digest is not None
    assert record.private.docs[0]["sha256"] == hashlib.sha256(PDF).hexdigest()
    assert record.private.query["url"] == "Binary/b1"
    assert record.deviations == ()


@pytest.mark.parametrize(
    ("reply", "attachment", "content", "deviations"),
    [
        (Reply(binary(PDF)), said(), PDF, ()),
        (Reply(binary(XML, "application/xml")), said(media_type="text/xml", size=None, hash=None),
         XML, ("attachment-media-type",)),
        (Reply(PDF, media="application/octet-stream"), said(), PDF, ("attachment-media-type",)),
        (Reply(PDF, media="application/pdf; charset=x"), said(), PDF, ()),
        (Reply(gzip.compress(PDF), media="application/pdf", headers={"content-encoding": "gzip"}),
         said(), PDF, ()),
        (Reply(PDF, media="application/pdf"),
         said(hash=hashlib.sha1(PDF, usedforsecurity=False).hexdigest()),
         PDF, ("attachment-hash-form",)),
        (Reply(PDF, media="application/pdf"), said(hash="nonsense"), PDF,
         ("attachment-hash-unknown",)),
        # a size of 0: made when it is asked for, the hash is that of nothing
        (Reply(PDF, media="application/pdf"), said(size=0, hash=sha1(b"")), PDF, ()),
        (Reply({"resourceType": "Bundle", "type": "document"}),
         said(media_type="application/fhir+json", size=None, hash=None),
         b'{"resourceType": "Bundle", "type": "document"}', ()),
        (Reply(PDF, media="image/png"), said(media_type=None), PDF, ()),
    ],
    ids=["binary", "xml", "octets", "parameter", "gzip", "hex", "no-hash", "on-demand", "bundle",
         "unsaid"],
)  # fmt: skip
async def test_what_was_listed_is_taken_in_the_forms_that_servers_give_it(
    us, them, tmp_path, reply, attachment, content, deviations
):
    async def answer(_asked: Asked) -> Reply:
        return reply

    async with world(us, them, answer) as there:
        fetching = Fetching(there, tmp_path)
        result = await fetching.fetch(attachment)
        assert result.answer is not None, result.leg
        assert fetching.inbox.read(result.answer.token) == content
    assert there.ledger.records[0].deviations == deviations


async def test_a_token_that_is_not_taken_any_more_is_replaced_for_a_document_too(
    us, them, tmp_path
):
    async def answer(asked: Asked) -> Reply:
        if asked.token == "token-1":
            return Reply(PDF, media="application/pdf")
        return Reply({}, status=401)

    async with world(us, them, answer) as there:
        assert (await Fetching(there, tmp_path).fetch(said())).answer is not None
    assert there.legs == [("FHIR-READ", "failed", "fhir-peer-token"), ("FHIR-READ", "ok", None)]


# --- bad ones ---------------------------------------------------------------------------------

WORD = {"issue": [{"severity": "error", "code": "not-found", "diagnostics": "Zephyrine"}]}


@pytest.mark.parametrize(
    ("reply", "attachment", "outcome", "reason"),
    [
        (Reply(WORD, status=404), said(), "failed", "fhir-attachment-absent"),
        (Reply(WORD, status=410), said(), "failed", "fhir-attachment-absent"),
        (Reply(WORD, status=401), said(), "failed", "fhir-peer-token"),
        (Reply(WORD, status=403), said(), "declined", "fhir-peer-forbidden"),
        (Reply(WORD, status=406), said(), "failed", "fhir-peer-refused"),
        (Reply(b"y" * 100_000, status=429), said(), "failed", "fhir-peer-throttled"),
        (Reply({}, status=302, headers={"location": "https://elsewhere.example/b1"}), said(),
         "failed", "answer-redirected"),
        (Reply(PDF[:-1], media="application/pdf"), said(), "failed", "fhir-attachment-changed"),
        (Reply(PDF + b"x", media="application/pdf"), said(), "failed", "fhir-attachment-changed"),
        (Reply(PDF[:-1] + b"y", media="application/pdf"), said(), "failed",
         "fhir-attachment-changed"),
        (Reply(binary(PDF[:-1] + b"y")), said(), "failed", "fhir-attachment-changed"),
        (Reply(binary(PDF, data="?")), said(), "failed", "fhir-attachment-empty"),
        (Reply(binary(b"")), said(size=None, hash=None), "failed", "fhir-attachment-empty"),
        (Reply(binary(PDF, "text/html")), said(), "failed", "fhir-attachment-type"),
        (Reply(b"<html>Zephyrine</html>", media="text/html"), said(), "failed",
         "fhir-attachment-type"),
        (Reply(WORD), said(), "failed", "fhir-attachment-type"),
        (Reply(b"", media="application/pdf"), said(), "failed", "empty-answer"),
        (Reply(PDF, media="application/pdf", cut=True), said(), "failed", "reset"),
        (Reply(b"x" * 350_000, media="application/pdf"), said(size=None, hash=None), "failed",
         "document-too-large"),
        (Reply(gzip.compress(b"x" * 9_000_000, 1), media="application/pdf",
               headers={"content-encoding": "gzip"}), said(size=None, hash=None), "failed",
         "document-too-large"),
    ],
)  # fmt: skip
async def test_a_bad_answer_ends_the_document_as_what_it_is_and_leaves_nothing(
    us, them, tmp_path, reply, attachment, outcome, reason
):
    async def answer(_asked: Asked) -> Reply:
        return reply

    async with world(us, them, answer) as there:
        result = await Fetching(there, tmp_path).fetch(attachment)
    assert (result.leg.outcome, result.leg.reason, result.answer) == (outcome, reason, None)
    assert there.legs[-1] == ("FHIR-READ", outcome, reason)
    assert list(tmp_path.iterdir()) == []
    assert "Zephyrine" not in repr(result)


@pytest.mark.parametrize(
    ("body", "attachment", "outcome", "reason"),
    [
        (b"x" * 4000, said(), "failed", "fhir-attachment-changed"),
        (b"x" * 90_000, said(size=None, hash=None), "failed", "document-too-large"),
        (b"x", said(), "timed-out", "timeout"),
    ],
    ids=["listed size", "limit", "time"],
)
async def test_a_body_that_never_ends_is_cut_off(
    us, them, tmp_path, body, attachment, outcome, reason
):
    endless = always(body, media="application/pdf", endless=True)
    async with world(us, them, endless, seconds=1.0) as there:
        result = await Fetching(there, tmp_path).fetch(attachment)
    assert (result.leg.outcome, result.leg.reason) == (outcome, reason)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/fhir/Binary/b1",
        "http://localhost/fhir/Binary/b1",
        "//elsewhere.example/fhir/Binary/b1",
        "/other/Binary/b1",
        "../Binary/b1",
        "%2e%2e/other/b1",
        "https://user@localhost/fhir/Binary/b1",
        "urn:uuid:0f0a3d6e-7b2e-4f43-8f8b-2a5fc2a3f6c5",
        "#contained",
        "file:///etc/passwd",
        "data:text/plain,x",
        "x" * 9000,
    ],
)
async def test_a_link_off_the_server_is_not_followed_and_is_entered(us, them, tmp_path, url):
    async with world(us, them, always(PDF, media="application/pdf")) as there:
        result = await Fetching(there, tmp_path).fetch(said(url=url))
        assert there.server.asked == []
    assert result.leg.reason == "fhir-attachment-elsewhere"
    assert there.legs == [("FHIR-READ", "failed", "fhir-attachment-elsewhere")]


def test_an_address_is_relative_to_the_base_address_itself() -> None:
    base = "https://peer.example/fhir/r4"
    for link in ("Binary/1", "/fhir/r4/Binary/1", f"{base}/Binary/1"):
        assert str(attachment_url(base, link)) == f"{base}/Binary/1"
    with pytest.raises(TheirFault, match="leads away"):
        attachment_url(base, "")
