"""The gRPC service of a running node, asked by clients that know nothing but the .proto."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_tools import protoc
from node_network import ARC, BORN, FAMILY, GIVEN, ROOT, read_json, until
from rpc_clients import WHO, anchors_of, channel, status_of
from sample_world import ORIGINALS

from node.identity import Role, identity_files
from node.setup import OPERATOR
from protos.tefca_node.v1 import exchange_pb2 as pb
from protos.tefca_node.v1 import exchange_pb2_grpc as pb_grpc

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("asker", "clinic")]

SERVICE = "tefca_node.v1.Exchange"
PERSON = pb.Demographics(
    names=[pb.PersonName(family=FAMILY, given=[GIVEN])], birth_date=BORN, sex="F"
)
CHUNK = 256 * 1024


@pytest.fixture
async def stub(world):
    async with channel(world.asker) as opened:
        yield pb_grpc.ExchangeStub(opened)


def ended(message) -> tuple[str, str, str] | None:
    if message.WhichOneof("kind") != "ended":
        return None
    leg = message.ended
    return leg.peer.home_community_id, leg.transaction, pb.Outcome.Name(leg.outcome)


# --- the whole query ----------------------------------------------------------------------------


def test_the_proto_alone_is_enough_for_the_whole_query(world, tmp_path):
    stubs, identity, out = (tmp_path / name for name in ("stubs", "identity", "out"))
    for folder in (stubs, identity, out):
        folder.mkdir()
    folder = ROOT / "protos" / "tefca_node" / "v1"
    arguments = [f"-I{folder}", f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
    google = Path(protoc.__file__).parent / "_proto"
    assert protoc.main(["protoc", *arguments, f"-I{google}", "exchange.proto"]) == 0
    files = identity_files(world.asker.home, OPERATOR)
    (identity / "key.pem").write_bytes(files.key.read_bytes())
    (identity / "chain.pem").write_bytes(files.certificate.read_bytes())
    (identity / "anchors.pem").write_bytes(anchors_of(world.asker))
    person = (
        f'{{"names": [{{"family": "{FAMILY}", "given": ["{GIVEN}"]}}], '
        f'"birth_date": "{BORN}", "sex": "F"}}'
    )
    done = subprocess.run(
        [
            sys.executable, Path(__file__).with_name("plain_client.py"), world.asker.grpc,
            identity, world.clinic.hcid, out, person,
        ],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(stubs)}, check=False, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = read_json(done.stdout)
    assert {path.read_bytes() for path in out.iterdir()} == {
        ORIGINALS["first.xml"],
        ORIGINALS["second.xml"],
    }
    assert seen["kinds"][:6] == ["started", "ended"] * 3
    assert set(seen["kinds"][6:]) == {"chunk"}
    assert seen["largest"] <= CHUNK
    lasts = seen["chunks"]
    assert sorted(map(len, lasts.values())) == [1, len(ORIGINALS["second.xml"]) // CHUNK + 1]
    assert all(last[-1] and not any(last[:-1]) for last in lasts.values())


async def test_a_slow_peer_delays_nobody_else(world, slow, stub):
    """Also not the later steps at a peer that answered at once."""
    request = pb.FindChartRequest(
        principal=WHO,
        demographics=PERSON,
        targets=[world.slow.hcid, world.clinic.hcid],
        retrieve=True,
    )
    endings = [ended(m) async for m in stub.FindChart(request, timeout=60) if ended(m)]
    assert endings == [
        (world.clinic.hcid, "ITI-55", "OUTCOME_OK"),
        (world.clinic.hcid, "ITI-38", "OUTCOME_OK"),
        (world.clinic.hcid, "ITI-39", "OUTCOME_OK"),
        (world.slow.hcid, "ITI-55", "OUTCOME_OK_EMPTY"),
    ]


# --- cancelling and deadlines -------------------------------------------------------------------


async def test_cancelling_the_call_stops_the_peers_requests(world, slow, stub):
    before = len(world.asker.ledger())
    request = pb.FindPatientsRequest(principal=WHO, demographics=PERSON, targets=[world.slow.hcid])
    call = stub.FindPatients(request, timeout=60)
    first = await call.read()
    assert first.WhichOneof("kind") == "started"
    call.cancel()
    (entry,) = until(lambda: world.asker.ledger()[before:])
    assert entry.fields["outcome"] == "cancelled"
    assert entry.fields["peer"] == world.slow.hcid


async def test_a_deadline_ends_the_legs_and_the_caller_still_hears_of_them(world, slow, stub):
    before = len(world.asker.ledger())
    request = pb.FindPatientsRequest(
        principal=WHO, demographics=PERSON, targets=[world.slow.hcid, world.clinic.hcid]
    )
    endings = [ended(m) async for m in stub.FindPatients(request, timeout=3) if ended(m)]
    assert endings == [
        (world.clinic.hcid, "ITI-55", "OUTCOME_OK"),
        (world.slow.hcid, "ITI-55", "OUTCOME_TIMED_OUT"),
    ]
    written = {e.fields["peer"]: e.fields["outcome"] for e in world.asker.ledger()[before:]}
    assert written == {world.clinic.hcid: "ok", world.slow.hcid: "timed-out"}


# --- who may ask --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, Role.CLIENT, Role.SERVER])
async def test_only_this_nodes_own_clients_get_through(world, name):
    """Without a certificate, or with one of the network's CA, TLS ends it."""
    async with channel(world.asker, name=name, of=world.clinic) as opened:
        call = pb_grpc.ExchangeStub(opened).FindPatients(
            pb.FindPatientsRequest(principal=WHO, demographics=PERSON), timeout=10
        )
        code, _ = await status_of(call)
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_another_nodes_client_is_a_stranger_here(world):
    async with channel(world.asker, of=world.clinic) as opened:
        call = pb_grpc.ExchangeStub(opened).FindPatients(
            pb.FindPatientsRequest(principal=WHO, demographics=PERSON), timeout=10
        )
        code, _ = await status_of(call)
    assert code is grpc.StatusCode.UNAVAILABLE


# --- what is asked ------------------------------------------------------------------------------


def principal(**fields):
    changed = pb.Principal()
    changed.CopyFrom(WHO)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


async def test_a_purpose_nobody_knows_is_an_invalid_argument(stub):
    for purpose in ("", "TREATMENT", "t-trtmnt"):
        request = pb.FindPatientsRequest(principal=principal(purpose=purpose), demographics=PERSON)
        code, sentence = await status_of(stub.FindPatients(request, timeout=10))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "T-TRTMNT" in sentence  # the way out


async def test_a_purpose_our_entry_does_not_list_is_denied(world, stub):
    before = len(world.asker.ledger())
    who = principal(purpose="T-HCO")
    for call in (
        stub.FindPatients(pb.FindPatientsRequest(principal=who, demographics=PERSON)),
        stub.FindChart(pb.FindChartRequest(principal=who, demographics=PERSON)),
    ):
        code, sentence = await status_of(call)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "purpose-not-listed" in sentence
    assert len(world.asker.ledger()) == before


KNOWN = pb.KnownPatient(
    home_community_id=f"urn:oid:{ARC}.2",
    patient_id=pb.PatientId(assigning_authority="2.999.1", id="1"),
)
REF = pb.DocumentRef(
    home_community_id=f"urn:oid:{ARC}.2", repository_unique_id="2.999.1", document_unique_id="2"
)


@pytest.mark.parametrize(
    ("method", "request_of"),
    [
        ("FindPatients", lambda: pb.FindPatientsRequest(principal=WHO)),
        ("FindChart", lambda: pb.FindChartRequest(principal=WHO)),
        ("FindDocuments", lambda: pb.FindDocumentsRequest(principal=WHO)),
        ("Retrieve", lambda: pb.RetrieveRequest(principal=WHO)),
        ("FindPatients", lambda: pb.FindPatientsRequest(demographics=PERSON)),
        (
            "FindPatients",
            lambda: pb.FindPatientsRequest(principal=principal(user_id=""), demographics=PERSON),
        ),
        (
            "FindPatients",
            lambda: pb.FindPatientsRequest(
                principal=WHO, demographics=pb.Demographics(names=PERSON.names, birth_date="June")
            ),
        ),
        (
            "FindPatients",
            lambda: pb.FindPatientsRequest(
                principal=WHO, demographics=pb.Demographics(names=PERSON.names, sex="female")
            ),
        ),
        (
            "FindPatients",
            lambda: pb.FindPatientsRequest(principal=WHO, demographics=PERSON, targets=["acme"]),
        ),
        (
            "FindPatients",
            lambda: pb.FindPatientsRequest(principal=principal(npi="12"), demographics=PERSON),
        ),
        (
            "FindDocuments",
            lambda: pb.FindDocumentsRequest(
                principal=WHO, patients=[pb.KnownPatient(home_community_id=f"urn:oid:{ARC}.2")]
            ),
        ),
        (
            "FindDocuments",
            lambda: pb.FindDocumentsRequest(
                principal=WHO, patients=[KNOWN], search=pb.DocumentSearch(since="last week")
            ),
        ),
        ("Retrieve", lambda: pb.RetrieveRequest(principal=WHO, documents=[pb.DocumentRef()])),
        ("Retrieve", lambda: pb.RetrieveRequest(principal=WHO, documents=[REF, pb.DocumentRef()])),
    ],
)
async def test_a_question_without_sense_is_an_invalid_argument(world, stub, method, request_of):
    before = len(world.asker.ledger())
    code, sentence = await status_of(getattr(stub, method)(request_of(), timeout=10))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert sentence.endswith((".", "..."))
    assert len(world.asker.ledger()) == before


async def test_an_unknown_community_is_a_leg_that_failed(world, stub):
    request = pb.FindPatientsRequest(
        principal=WHO, demographics=PERSON, targets=[f"urn:oid:{ARC}.99"]
    )
    endings = [ended(m) async for m in stub.FindPatients(request, timeout=10) if ended(m)]
    assert [outcome for _, _, outcome in endings] == ["OUTCOME_FAILED"]


# --- beside it ----------------------------------------------------------------------------------


async def test_health_says_serving(world):
    async with channel(world.asker) as opened:
        health = health_pb2_grpc.HealthStub(opened)
        for service in ("", SERVICE):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_the_service_and_gives_its_file(world):
    async def asks():
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)

    async with channel(world.asker) as opened:
        stub = reflection_pb2_grpc.ServerReflectionStub(opened)
        answers = [a async for a in stub.ServerReflectionInfo(asks(), timeout=10)]
    names = {service.name for service in answers[0].list_services_response.service}
    assert SERVICE in names
    assert answers[1].file_descriptor_response.file_descriptor_proto
