"""Law 6: what a patient is called stays out of logs, metrics, ledger tables and file names."""

from __future__ import annotations

import asyncio
import http.client
import sqlite3
import urllib.request
from urllib.parse import urlsplit

import grpc
import pytest
from messages import (
    ask,
    discovery,
    envelope,
    find_documents,
    header,
    post,
    principal,
    retrieve,
    tls_of,
)
from node_network import BORN, FAMILY, GIVEN, MRN, Network, Running, Site, cda, serving
from node_network import PERSON as OPTIONS
from rpc_clients import WHO, channel, status_of

from node.model import DocumentRef, PatientId, Transaction
from protos.tefca_node.v1 import exchange_pb2 as pb
from protos.tefca_node.v1 import exchange_pb2_grpc as pb_grpc

pytestmark = pytest.mark.e2e

CANARIES = (FAMILY, GIVEN, MRN, BORN, "Harbour Lane", "1973-09-14", "555-0142")
"""Name, record number, birth date, address, telephone: they stand in records and in questions."""
ITI_55, ITI_38, ITI_39 = Transaction.ITI_55, Transaction.ITI_38, Transaction.ITI_39


@pytest.fixture(scope="module")
def after_a_run(tmp_path_factory) -> dict[str, bytes]:
    """Everything two nodes left behind after good, odd and broken exchanges, by where it is."""
    network = Network(tmp_path_factory.mktemp("canary"))
    asker, clinic = network.add("asker"), network.add("clinic")
    network.join()
    given = network.folder / f"{FAMILY}-{MRN}"
    given.mkdir()
    (given / f"{FAMILY}.xml").write_bytes(cda(1))
    (given / f"{GIVEN}-bad.xml").write_bytes(cda(2).replace(b"</title>", b"</titel>", 1))
    told = clinic.cli("records", "add", given)
    left = {"stderr of records add": b""}
    assert "1" in told.stdout
    with serving(asker) as first, serving(clinic) as second:
        left |= charts(asker, clinic, first)
        oddities(asker, clinic)
        asyncio.run(grpc_oddities(asker))
        for running in (first, second):
            name = running.site.name
            left[f"metrics of {name}"] = metrics(running)
    for running in (first, second):
        name = running.site.name
        left[f"log of {name}"] = running.log.read_bytes()
        left[f"ledger of {name}"] = ledger_tables(running.site)
        left[f"file names of {name}"] = "\n".join(
            str(path.relative_to(running.site.home.path))
            for path in running.site.home.path.rglob("*")
        ).encode()
    return left


def charts(asker: Site, clinic: Site, running: Running) -> dict[str, bytes]:
    left = {}
    for number, more in enumerate(((), ("--node", running.bound["grpc"]))):
        done = asker.cli(
            "query", "chart", *OPTIONS, "--purpose", "T-TRTMNT", "--peer", clinic.hcid, *more
        )
        assert done.returncode == 0, done.stderr
        left[f"progress of question {number}"] = done.stderr.encode()
    return left


def oddities(asker: Site, clinic: Site) -> None:
    """Requests that carry a patient where none belongs."""
    url = clinic.url(ITI_38)
    patient = PatientId(assigning_authority=clinic.settings.node.assigning_authority, id=MRN)
    named = f"urn:uuid:{FAMILY}-{MRN}"
    ask(asker, clinic, ITI_55, discovery(asker), message_id=named)
    ask(asker, clinic, ITI_55, discovery(asker), patient_id=patient)
    ask(asker, clinic, ITI_38, find_documents(patient, clinic.hcid))
    ask(
        asker,
        clinic,
        ITI_38,
        find_documents(patient, clinic.hcid).replace(b"$XDS", b"$" + MRN.encode()),
    )
    ask(asker, clinic, ITI_38, f"<{FAMILY}/>".encode())
    ask(asker, clinic, ITI_55, discovery(asker).replace(BORN.encode(), FAMILY.encode()))
    ref = DocumentRef(
        home_community_id=clinic.hcid, repository_unique_id=FAMILY, document_unique_id=MRN
    )
    ask(asker, clinic, ITI_39, retrieve(ref))
    who = principal(asker, organization_id=FAMILY)
    ask(asker, clinic, ITI_55, discovery(asker), who=who)
    ask(asker, clinic, ITI_55, discovery(asker), who=principal(asker, purpose=FAMILY.upper()))
    unsigned = envelope(clinic, ITI_38, f"<{FAMILY}/>".encode(), b"", named)
    post(asker, url, unsigned)
    post(asker, url, unsigned.replace(b"urn:ihe:iti:2007", FAMILY.encode()))
    post(asker, url, f"<{FAMILY}>{MRN}".encode())
    post(asker, url, b"x", content_type=f"text/{FAMILY}")
    post(asker, url, b"x", content_type=f'multipart/related; boundary="{FAMILY}')
    signed = header(asker, clinic, ITI_38).octets
    post(
        asker, url, envelope(clinic, ITI_38, b"<a/>", signed.replace(b"Dr Sample", FAMILY.encode()))
    )
    where = urlsplit(url)
    for path in (f"/{FAMILY}?mrn={MRN}", f"{where.path}?patient={FAMILY}", f"/%00{FAMILY}"):
        connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, timeout=20, context=tls_of(asker)
        )
        connection.request("GET", path, headers={"X-Patient": MRN})
        connection.getresponse().read()
        connection.close()


async def grpc_oddities(asker: Site) -> None:
    async with channel(asker) as opened:
        stub = pb_grpc.ExchangeStub(opened)
        for person, targets in (
            (pb.Demographics(names=[pb.PersonName(family=FAMILY)], birth_date=FAMILY), []),
            (pb.Demographics(names=[pb.PersonName(family=FAMILY)]), [FAMILY]),
        ):
            request = pb.FindPatientsRequest(principal=WHO, demographics=person, targets=targets)
            code, sentence = await status_of(stub.FindPatients(request, timeout=20))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert FAMILY not in sentence


def metrics(running: Running) -> bytes:
    with urllib.request.urlopen(running.bound["ops"] + "/metrics", timeout=20) as answer:
        return answer.read()


def ledger_tables(site: Site) -> bytes:
    with sqlite3.connect(site.home.path / "node.db") as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            if name.startswith("ledger")
        ]
        assert "ledger_entry" in tables
        rows = [row for name in tables for row in connection.execute(f"SELECT * FROM {name}")]
    connection.close()
    return b"\n".join(
        bytes(value) if isinstance(value, bytes) else str(value).encode()
        for row in rows
        for value in row
    )


def test_law_6_the_run_left_something_to_look_through(after_a_run):
    assert b"ITI-39" in after_a_run["ledger of asker"]
    assert b"request refused" in after_a_run["log of clinic"]
    assert b"ITI-38" in after_a_run["metrics of clinic"]
    assert b"records" in after_a_run["file names of clinic"]
    assert b"found" in after_a_run["progress of question 0"]


@pytest.mark.parametrize("canary", CANARIES)
def test_law_6_no_patient_where_none_belongs(after_a_run, canary):
    found = {
        where: [line[:300] for line in data.splitlines() if canary.lower().encode() in line.lower()]
        for where, data in after_a_run.items()
    }
    assert {where: lines for where, lines in found.items() if lines} == {}
