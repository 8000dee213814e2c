"""Three nodes, each a process: one FHIR question to two peers over TLS, and what is left of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from node_network import FAMILY, GIVEN, Network, Site, now, serving
from test_fhir_authorization import PURPOSE, fhir, issue

from directory.model import PinUse
from node.demo.free_ports import free_ports
from node.identity import FhirClient, FhirServer, identity_files
from node.opened import fhir_loader, opened_home
from node.records.folder import load_folder
from trust.certificates import load_certificates
from trust.keys import spki_sha256

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PERSON = ("--family", FAMILY, "--given", GIVEN, "--birth-date", "1973-09-14", "--sex", "F")
LABS = "Observation?category=laboratory"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"


def patient(id_: str) -> str:
    return json.dumps(
        {
            "resourceType": "Patient",
            "id": id_,
            "identifier": [{"system": f"urn:oid:2.999.55.{id_[-1]}", "value": f"mrn-{id_}"}],
            "name": [{"family": FAMILY, "given": [GIVEN]}],
            "birthDate": "1973-09-14",
            "gender": "female",
        }
    )


def observation(id_: str, of: str, value: str, code: str = "718-7") -> str:
    """Its spaces and its number as no writer of ours would write them."""
    made = json.dumps(
        {
            "resourceType": "Observation",
            "id": id_,
            "status": "final",
            "category": [{"coding": [{"system": CATEGORIES, "code": "laboratory"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": {"reference": f"Patient/{of}"},
            "effectiveDateTime": "2026-01-05T10:00:00Z",
            "valueQuantity": {"value": 0.25, "code": "g/dL"},
        },
        separators=(" ,", " : "),
    )
    return made.replace("0.25", value)


def collection(*resources: str) -> str:
    entries = ",".join(f'{{"resource":{each}}}' for each in resources)
    return f'{{"resourceType":"Bundle","type":"collection","entry":[{entries}]}}'


HILL = collection(
    patient("p1"), observation("hb", "p1", "13.50"), observation("na", "p1", "140", "2951-2")
)
DALE = collection(patient("q2"), observation("h2", "q2", "13.500"))


@dataclass(frozen=True, slots=True)
class Three:
    """Lake asks Hill and Dale."""

    lake: Site
    hill: Site
    dale: Site

    def ask(self, *words: str | Path) -> tuple[Any, Any]:
        done = self.lake.cli("query", "fhir", LABS, *words, "--purpose", PURPOSE, "--json")
        return done, json.loads(done.stdout) if done.stdout else None


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("broker"))
    ports = free_ports(3)
    lake, hill, dale = (
        network.add(
            name, extra=fhir(port) if name != "lake" else fhir(port).replace("= true", "= false")
        )
        for name, port in zip(("lake", "hill", "dale"), ports, strict=True)
    )
    issue(network, lake, FhirClient(PURPOSE))
    network.join()
    for site, records in ((hill, HILL), (dale, DALE)):
        issue(network, site, FhirServer.SERVER)
        folder = network.folder / f"{site.name}-given"
        folder.mkdir()
        (folder / "records.json").write_text(records)
        with opened_home(site.home, site.settings) as opened:
            load_folder(folder, opened.index, opened.content, now(), fhir=fhir_loader(opened))
        pin(lake, site, FhirServer.SERVER)
        pin(site, lake, FhirClient(PURPOSE))
    return Three(lake, hill, dale)


def pin(at: Site, other: Site, role: FhirClient | FhirServer) -> None:
    (leaf, *_) = load_certificates(identity_files(other.home, role).certificate)
    with opened_home(at.home, at.settings) as opened:
        opened.directory.local.pin(other.oid, spki_sha256(leaf), PinUse.ASSERTION, now=now())


def steps(site: Site) -> list[tuple[str, str]]:
    return [(str(e.fields["txn"]), str(e.fields["outcome"])) for e in site.ledger()]


def test_one_question_is_answered_by_two_peers_and_entered_on_all_sides(three, tmp_path):
    saved = tmp_path / "labs.json"
    with serving(three.hill), serving(three.dale):
        done, told = three.ask(*PERSON, "--save", saved)
        assert done.returncode == 0, done.stderr
        assert [(p["peer"], p["outcome"], p["resources"]) for p in told["peers"]] == [
            ("Hill Health", "ok", 2),
            ("Dale Health", "ok", 1),
        ]
        merged = json.loads(saved.read_text())
        matches = {
            e["fullUrl"].partition("/fhir/")[2]: e
            for e in merged["entry"]
            if e["search"]["mode"] == "match"
        }
        assert set(matches) == {"Observation/hb", "Observation/na", "Observation/h2"}
        assert merged["total"] == 3
        # the same haemoglobin of both, and every byte as it was
        assert [k["url"] for k in matches["Observation/hb"]["link"]] == [
            matches["Observation/h2"]["fullUrl"]
        ]
        assert observation("h2", "q2", "13.500") in saved.read_text()
        assert told["linked"] == 2
        # known from then on, one peer at a time
        (at,) = [each for each in told["at"] if each.startswith(three.dale.hcid)]
        done, told = three.ask("--at", at)
        assert [(p["peer"], p["resources"]) for p in told["peers"]] == [("Dale Health", 1)]
    ours = [step for step in steps(three.lake) if step[0].startswith("FHIR")]
    assert ours.count(("FHIR-MATCH", "ok")) == 2
    # two by the identifier, which the resources that they found do not have; three for the records
    assert ours.count(("FHIR-SEARCH", "ok")) == 5
    for site in (three.hill, three.dale):
        searched = [e for e in site.ledger() if e.fields["txn"] == "FHIR-SEARCH"]
        asked = [
            e
            for e in three.lake.ledger()
            if e.fields["txn"] == "FHIR-SEARCH" and e.fields["peer"] == site.hcid
        ]
        assert [e.fields["msg"] for e in searched] == [e.fields["msg"] for e in asked]
        assert {e.fields["dir"] for e in asked} == {"initiating"}
        assert {e.fields["bind"] for e in asked} == {"pinned"}
    exchanges = {
        e.fields["exch"]
        for e in three.lake.ledger()
        if e.fields["txn"] in ("ITI-55", "FHIR-SEARCH", "FHIR-MATCH")
    }
    assert len(exchanges) == 2  # two questions were asked


def test_a_running_node_asks_for_the_command_over_grpc(three):
    with serving(three.hill), serving(three.lake):
        words = (*PERSON, "--peer", three.hill.hcid, "--node", three.lake.grpc)
        done, told = three.ask(*words)
    assert done.returncode == 0, done.stderr
    assert [(p["peer"], p["outcome"], p["resources"]) for p in told["peers"]] == [
        ("Hill Health", "ok", 2)
    ]
    steps_asked = [leg["transaction"] for leg in told["legs"]]
    assert (steps_asked[0], steps_asked[-1]) == ("ITI-55", "FHIR-SEARCH")
    assert told["at"] == [f"{three.hill.hcid}=Patient/p1"]
    kinds = [e["resource"]["resourceType"] for e in told["bundle"]["entry"]]
    assert kinds == ["Observation", "Observation", "Provenance"]


def test_a_peer_that_is_down_is_said_and_the_other_ones_answer_counts(three):
    with serving(three.hill):
        done, told = three.ask(*PERSON, "--seconds", "20")
    assert done.returncode == 1
    assert {p["peer"]: p["outcome"] for p in told["peers"]} == {
        "Hill Health": "ok",
        "Dale Health": "failed",
    }
    (outcome,) = [
        e["resource"] for e in told["bundle"]["entry"] if e["search"]["mode"] == "outcome"
    ]
    (issue_,) = outcome["issue"]
    assert (issue_["severity"], issue_["code"]) == ("warning", "transient")
    assert "Dale Health" in issue_["diagnostics"]
    assert "total" not in told["bundle"]


def test_a_question_that_cannot_be_asked_is_refused_before_anybody_is_asked(three):
    before = len(three.lake.ledger())
    done = three.lake.cli("query", "fhir", "Observation?_id=hb", *PERSON, "--purpose", PURPOSE)
    assert done.returncode == 4
    assert "cannot be asked here: an id means something at one server only" in done.stderr
    assert len(three.lake.ledger()) == before
