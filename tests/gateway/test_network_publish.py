"""Publishing documents into our own records: ITI-65 (MHD) over HTTPS."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from network_fhir_world import network_fhir_world

from node.errors import OurFault
from node.wire.fhir.mhd_provide import read_provided
from node.wire.fhir.problem import FhirProblem
from tests.sim.network import SimPeer

CDA = min((Path(__file__).resolve().parents[2] / "examples" / "records").rglob("*.xml"))
SCOPE = "system/DocumentReference.c"
NOTE = b"Hello from the ward"
PERSON = {
    "resourceType": "Patient",
    "id": "person",
    "identifier": [{"system": "urn:oid:2.999.5", "value": "MRN-9"}],
    "name": [{"family": "Canary-Quill", "given": ["Dora"]}],
    "birthDate": "1981-03-04",
    "gender": "female",
}


def reference(number: int = 1, content: bytes = NOTE, **changes):
    return {
        "resourceType": "DocumentReference",
        "contained": [PERSON],
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:2.999.5.{number}"},
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34109-9"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "34109-9"}]}],
        "subject": {"reference": "#person"},
        "date": "2026-11-01T10:00:00Z",
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain",
                    "url": f"urn:uuid:{number}",
                    "size": len(content),
                    "hash": base64.b64encode(hashlib.sha1(content).digest()).decode(),
                    "creation": "2026-11-01T10:00:00Z",
                }
            }
        ],
        "context": {"sourcePatientInfo": {"reference": "#person"}},
        **changes,
    }


SUBMISSION = {
    "resourceType": "List",
    "status": "current",
    "mode": "working",
    "code": {
        "coding": [
            {
                "system": "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes",
                "code": "submissionset",
            }
        ]
    },
}


def entry(resource, name: str | None = None, method: str = "POST"):
    request = {"method": method, "url": resource["resourceType"]}
    named = {"fullUrl": name} if name else {}
    return {**named, "resource": resource, "request": request}


def binary(number: int = 1, content: bytes = NOTE):
    made = {
        "resourceType": "Binary",
        "contentType": "text/plain",
        "data": base64.b64encode(content).decode(),
    }
    return entry(made, f"urn:uuid:{number}")


def bundle(*entries):
    given = entries or (entry(reference()), binary())
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry(SUBMISSION), *given],
    }


@pytest.fixture
async def world(tmp_path: Path, us, them):
    async with network_fhir_world(tmp_path, us, them, SimPeer(2)) as running:
        yield running


async def publish(world, body, *scopes: str):
    return await world.post("", body, token=world.token(*(scopes or (SCOPE,))))


async def test_a_bundle_is_taken_and_its_document_is_held(world):
    answer = await publish(world, bundle())
    assert answer.status == 200, answer.body
    Bundle.model_validate_json(answer.body)
    assert answer.json["type"] == "transaction-response"
    rows = [e["response"] for e in answer.json["entry"]]
    assert [r["status"] for r in rows] == ["201 Created"] * 3
    kinds = [r["location"].rsplit("/", 2)[1] for r in rows]
    assert kinds == ["List", "DocumentReference", "Binary"]  # in the order of the request
    held = world.records.index.held("2.999.5.1")
    assert world.records.store.read(held.sha256) == NOTE
    assert held.entry.mime_type == "text/plain"
    assert held.entry.creation_time == "20261101100000"
    leaf = world.entries()[-1]
    assert (leaf["txn"], leaf["outcome"], leaf["docs"]) == ("ITI-65", "ok", 1)


async def test_two_documents_of_one_person_are_one_persons(world):
    both = bundle(entry(reference(1)), entry(reference(2, b"More")), binary(1), binary(2, b"More"))
    assert (await publish(world, both)).status == 200
    people = {world.records.index.held(f"2.999.5.{n}").entry.patient_id for n in (1, 2)}
    assert len(people) == 1


async def test_the_same_again_changes_nothing_and_says_so(world):
    await publish(world, bundle())
    again = await publish(world, bundle())
    assert again.status == 200
    issue = again.json["entry"][1]["response"]["outcome"]["issue"][0]
    assert (issue["severity"], issue["code"]) == ("information", "informational")
    assert world.records.index.counts().documents == 1


@pytest.mark.parametrize(
    ("code", "warning"),
    [
        ("replaces", "PartialReplaceContentNotProcessed"),
        ("transforms", "PartialTransformNotProcessed"),
        ("appends", "PartialAppendContentNotProcessed"),
        ("signs", "PartialRelationshipNotProcessed"),
    ],
)
async def test_a_relation_that_is_not_kept_is_a_warning(world, code, warning):
    related = [{"code": code, "target": {"reference": "DocumentReference/x"}}]
    answer = await publish(world, bundle(entry(reference(relatesTo=related)), binary()))
    (issue,) = answer.json["entry"][1]["response"]["outcome"]["issue"]
    assert (issue["severity"], issue["details"]["coding"][0]["code"]) == ("warning", warning)


async def test_a_folder_is_a_warning(world):
    folder = copy.deepcopy(SUBMISSION)
    folder["code"]["coding"][0]["code"] = "folder"
    answer = await publish(world, bundle(entry(reference()), binary(), entry(folder)))
    codes = [
        i.get("details", {}).get("coding", [{}])[0].get("code")
        for i in answer.json["entry"][3]["response"]["outcome"]["issue"]
    ]
    assert "PartialFolderContentNotProcessed" in codes


WRONG_HASH = reference()
WRONG_HASH["content"][0]["attachment"]["hash"] = base64.b64encode(b"x" * 20).decode()
WRONG_SIZE = reference()
WRONG_SIZE["content"][0]["attachment"]["size"] = 7
NOBODY = reference(contained=[], subject={"reference": "Patient/nobody"})
DOCUMENT = {"resourceType": "Bundle", "type": "document"}
PATCH = {"resourceType": "Parameters"}
TWO_SETS = [entry(SUBMISSION), entry(reference()), binary()]
OTHER = b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>"


@pytest.mark.parametrize(
    ("body", "status", "issue"),
    [
        (bundle(entry(WRONG_HASH), binary()), 400, "fhir-provide-mismatch"),
        (bundle(entry(WRONG_SIZE), binary()), 400, "fhir-provide-mismatch"),
        (bundle(entry(NOBODY), binary()), 400, "fhir-patient-unknown"),
        (bundle(entry(reference())), 400, "fhir-body-invalid"),
        (bundle(binary()), 400, "fhir-body-invalid"),
        (bundle(*TWO_SETS), 400, "fhir-body-invalid"),
        (bundle(entry(reference(masterIdentifier=None)), binary()), 400, "fhir-body-invalid"),
        (bundle(entry(reference(), method="PUT"), binary()), 400, "fhir-body-invalid"),
        (bundle(entry(reference()), entry(PATCH), binary()), 400, "fhir-body-invalid"),
        (bundle(entry(DOCUMENT), binary()), 400, "fhir-document-unsupported"),
        (
            bundle(entry(reference(1)), entry(reference(1)), binary(1)),
            409,
            "fhir-document-id-taken",
        ),
        ({**bundle(), "type": "batch"}, 400, "fhir-body-invalid"),
        ({**bundle(), "entry": "none"}, 400, "fhir-body-invalid"),
        ({"resourceType": "Patient"}, 400, "fhir-body-invalid"),
        ({**bundle(), "entry": [{}] * 201}, 400, "fhir-search-limit"),
        (b"{", 400, "fhir-body-invalid"),
    ],
)
async def test_a_bundle_that_cannot_be_taken_whole_is_not_taken_at_all(world, body, status, issue):
    answer = await publish(world, body)
    assert (answer.status, answer.issue[1]) == (status, issue), answer.body
    assert world.records.index.counts().documents == 0
    assert world.entries()[-1]["reason"] == issue
    assert "Canary" not in json.dumps(world.entries())


async def test_one_bad_document_keeps_the_good_ones_out(world):
    bad = reference(2, b"More")
    bad["content"][0]["attachment"]["size"] = 1
    answer = await publish(
        world, bundle(entry(reference(1)), entry(bad), binary(1), binary(2, b"More"))
    )
    assert answer.status == 400
    assert world.records.index.counts().documents == 0


async def test_another_document_under_a_known_id_is_refused(world):
    await publish(world, bundle())
    other = bundle(entry(reference(1, b"Changed")), binary(1, b"Changed"))
    answer = await publish(world, other)
    assert (answer.status, answer.issue) == (409, ("duplicate", "fhir-document-id-taken"))


async def test_a_document_whose_own_header_is_about_somebody_else_is_refused(world):
    content = CDA.read_bytes()
    made = reference(1, content)
    made["content"][0]["attachment"]["contentType"] = "text/xml"
    answer = await publish(world, bundle(entry(made), binary(1, content)))
    assert (answer.status, answer.issue[1]) == (400, "fhir-provide-mismatch")
    assert world.records.index.counts().documents == 0


@pytest.mark.parametrize("scopes", [("system/*.rs",), ("system/DocumentReference.rs",)])
async def test_who_may_read_may_not_publish(world, scopes):
    answer = await publish(world, bundle(), *scopes)
    assert (answer.status, answer.issue[1]) == (403, "fhir-scope-missing")
    assert world.records.index.counts().documents == 0


async def test_who_may_publish_may_not_read(world):
    answer = await world.get(
        "Patient", {"identifier": "urn:oid:2.999.2.1|x"}, token=world.token(SCOPE)
    )
    assert answer.status == 403


async def test_what_could_not_be_stored_is_said_in_the_log_and_to_the_client(world, monkeypatch):
    def broken(*_arguments):
        raise OurFault("publish-failed", "A published document could not be stored.")

    monkeypatch.setattr(world.records.index, "add", broken)
    answer = await publish(world, bundle())
    assert answer.status == 500
    outcomes = [(e["txn"], e["outcome"]) for e in world.entries()]
    assert outcomes == [("ITI-65", "ok"), ("ITI-65", "failed")]
    assert world.records.index.counts().documents == 0


# --- the examples of the guide -----------------------------------------------------------------

TAKEN = {
    "ProvideDocumentBundle-addToFolder": ("PartialFolderContentNotProcessed",),
    "comprehensiveProvideDocumentBundleMultiple": (),
    "comprehensiveProvideDocumentBundleSimple": (),
    # these are for a person: nobody to whom a node can send
    "minimalProvideDocumentBundleSimple": ("UnknownRecipient",),
    "minimalProvideDocumentBundleSimpleContained": ("UnknownRecipient",),
    "unContainedComprehensiveProvideDocumentBundleComplete": (
        "UnknownRecipient",
        "PartialAppendContentNotProcessed",
    ),
}
REFUSED = {
    "comprehensiveProvideDocumentBundleDocument": "fhir-document-unsupported",
    # its document has 23 bytes, and it says 24
    "comprehensiveProvideDocumentBundleReplace": "fhir-provide-mismatch",
}


def test_the_examples_of_the_guide_are_read_as_they_are_meant(shared_data: Path):
    taken, refused = {}, {}
    with tarfile.open(shared_data / "fhir/ig/ihe.iti.mhd-4.2.3-examples.tar.gz") as tar:
        for member in tar:
            name = Path(member.name).stem.removeprefix("Bundle-ex-")
            if "rovideDocumentBundle" not in name or name.startswith("response"):
                continue
            file = tar.extractfile(member)
            assert file is not None
            try:
                provided = read_provided(file.read(), base_url="https://node.example/fhir")
            except FhirProblem as problem:
                refused[name] = problem.code
            else:
                assert provided.documents
                taken[name] = tuple(w for each in provided.warnings.values() for w in each)
    assert taken == TAKEN
    assert refused == REFUSED


async def test_an_update_of_the_old_document_is_a_warning(world):
    update = entry({"resourceType": "Parameters"}, method="PATCH")
    answer = await publish(world, bundle(entry(reference()), binary(), update))
    issue = answer.json["entry"][3]["response"]["outcome"]["issue"][0]
    assert issue["details"]["coding"][0]["code"] == "PartialReplaceContentNotProcessed"
