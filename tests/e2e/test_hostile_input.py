"""Hostile and foreign messages against the running node: the right fault, and it stays well."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from messages import Answer, ask, discovery, post, response_code

from node.identity import network_anchors
from node.model import Transaction
from node.wire.faults import FaultCode
from node.wire.names import OPERATIONS
from node.wire.xml import XmlLimits, parse
from trust.errors import CodedError

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("clinic")]

SOAP_TYPE = "application/soap+xml; charset=UTF-8"
MTOM_TYPE = (
    'multipart/related; type="application/xop+xml"; start-info="application/soap+xml"; boundary='
)
ENVELOPES = (
    "{http://www.w3.org/2003/05/soap-envelope}Envelope",
    "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
)
# a request may cost this much memory beyond a node at rest: twice its 4 MiB body, parsed
GROWTH_KIB = 120 * 1024
SECONDS = 15


def samples(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Every file; ``.gz`` unpacked."""
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            data = path.read_bytes()
            yield path.name, gzip.decompress(data) if path.suffix == ".gz" else data


def content_type(data: bytes) -> str:
    """The type a sender would give: multipart where the bytes begin with a boundary."""
    if data.lstrip().startswith(b"--"):
        boundary = data.lstrip().split(b"\n", 1)[0].strip()[2:].decode("latin-1")
        return f'{MTOM_TYPE}"{boundary}"'
    return SOAP_TYPE


def assert_refused(name: str, answer: Answer) -> None:
    assert answer.status in (400, 413, 415, 500), name
    assert answer.fault.code is not FaultCode.RECEIVER, f"{name}: {answer.fault.reason}"
    assert b"Traceback" not in answer.body
    assert b"root:" not in answer.body, name  # what xxe_file_etc_passwd asks for


@pytest.mark.shared
def test_every_hostile_or_unsigned_message_is_refused_and_written_down(world, clinic, shared_data):
    assert response_code(ask(world.asker, world.clinic, Transaction.ITI_55, discovery(world.asker)))
    before, resting = len(world.clinic.ledger()), clinic.peak_kib
    folders = [shared_data / name for name in ("xml-attacks", "ihe-soap", "ccda/edge")]
    posted = 0
    for name, data in samples(*folders):
        for transaction in Transaction:
            answer = post(
                world.asker,
                world.clinic.url(transaction),
                data,
                content_type=content_type(data),
                seconds=SECONDS,
            )
            assert_refused(f"{name} at {transaction}", answer)
            posted += 1
    assert posted > 300
    entries = world.clinic.ledger()[before:]
    assert len(entries) == posted
    assert {entry.fields["outcome"] for entry in entries} == {"declined"}
    assert all(entry.fields["reason"] for entry in entries)
    assert clinic.peak_kib - resting < GROWTH_KIB
    assert clinic.process.poll() is None
    answer = ask(world.asker, world.clinic, Transaction.ITI_55, discovery(world.asker))
    assert response_code(answer) == "OK"


def bodies(folder: Path) -> Iterator[tuple[str, etree._Element]]:
    """The bodies of all SOAP messages among the files, and the files that are a body themselves."""
    for name, data in samples(folder):
        try:
            root = parse(data.strip(), limits=XmlLimits())
        except CodedError:
            continue
        if root.tag in ENVELOPES:
            yield from ((name, child) for child in root.findall("{*}Body/*"))
        else:
            yield name, root


@pytest.mark.shared
def test_real_messages_of_other_products_under_a_good_signature_are_answered(
    world, clinic, shared_data
):
    """With a real index behind it: an answer or the sender's fault, never a fault of ours."""
    by_body = {operation.request: t for t, operation in OPERATIONS.items()}
    seen = dict.fromkeys(Transaction, 0)
    for name, body in bodies(shared_data / "ihe-soap"):
        transaction = by_body.get(body.tag)
        endpoint = transaction or Transaction.ITI_38
        answer = ask(world.asker, world.clinic, endpoint, etree.tostring(body))
        if transaction is None or answer.status != 200:
            assert_refused(name, answer)
        else:
            assert b"Harbour Lane" not in answer.body
            seen[transaction] += 1
    assert min(seen.values()) >= 1, seen
    assert clinic.process.poll() is None


def test_without_a_client_certificate_there_is_no_conversation(world):
    context = ssl.create_default_context()
    for anchor in network_anchors(world.asker.home):
        context.load_verify_locations(cadata=anchor.certificate.public_bytes(Encoding.PEM).decode())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        post(None, world.clinic.url(Transaction.ITI_55), b"<a/>", context=context)
