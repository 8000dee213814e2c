"""Two nodes of ours over real TLS: metadata, registration, tokens, and what ends them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from fhir_world import bundle, fhir_world, open_records
from node_network import Network, Site, now
from tls_network import identity, network_ca
from upstream_world import token_file

from directory.model import PinUse
from node.demo.free_ports import free_ports
from node.errors import AnswerError, CodedError
from node.fhir_asking import FhirAsking, asking_fhir
from node.fhir_brokering import asking_network
from node.fhir_serving import serving_fhir
from node.gateway.oauth.store import OauthStore
from node.identity import FhirClient, FhirServer, Role, identity_files, tls_identity
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.model import Authorization, Code, Interaction, Principal
from node.opened import OpenedHome, fhir_loader, opened_home
from node.ops.metrics import Metrics
from node.policy.purposes import purpose_register
from node.records.folder import load_folder
from node.settings import NodeHome
from node.settings_upstream import UpstreamSection
from node.setup import issue_identity
from tests.ias_world import ISSUER, csp_jwks, id_token
from trust.certificates import load_certificates
from trust.keys import KeyKind, spki_sha256
from trust.tls import TlsIdentity, browser_context, client_context
from trust.usages import Usage

COMMUNITY = "urn:oid:2.999.5"
PURPOSE = "T-TRTMNT"
INDIVIDUAL = "T-IAS"
SCOPE = ("system/Patient.rs", "system/Observation.rs")


def fhir(port: int) -> str:
    return f"""
[fhir]
enabled = true
port = {port}
public_url = "https://localhost:{port}/fhir"
contact = "mailto:fhir@example.org"
communities = {{ development = "{COMMUNITY}" }}
"""


PROVIDER = f"""
[[ias.providers]]
issuer = "{ISSUER}"
jwks = "csp.json"
"""


ANN = (
    {"resourceType": "Patient", "id": "ann", "name": [{"family": "Arden"}]},
    {
        "resourceType": "Observation",
        "id": "hb",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "Patient/ann"},
    },
)


ORSOLYA = {
    "resourceType": "Patient",
    "id": "orsolya",
    "identifier": [{"system": "urn:oid:2.999.5", "value": "MRN-1"}],
    "name": [{"family": "Brightwater", "given": ["Orsolya"]}],
    "birthDate": "1981-07-09",
    "gender": "female",
    "address": [{"line": ["1 High Street"], "city": "Salem", "state": "OR", "postalCode": "97301"}],
    "telecom": [{"system": "phone", "value": "+1-503-555-0100"}],
}


class Pair:
    """Lake asks, Hill answers; both in this process, with a socket and TLS between them."""

    def __init__(self, folder: Path, made: Network) -> None:
        """A copy of two homes that were made once."""
        shutil.copytree(made.folder, folder, symlinks=True)
        self.network = made
        self.lake, self.hill = (
            replace(site, home=NodeHome(folder / name)) for name, site in made.sites.items()
        )
        self.base = self.hill.settings.fhir.public_url
        self.here: OpenedHome
        self.there: OpenedHome
        self.asking: FhirAsking

    def issue(self, site: Site, role: FhirClient | FhirServer) -> None:
        issue(self.network, site, role)

    def pin(self, at: OpenedHome, other: Site, role: FhirClient | FhirServer) -> None:
        (leaf, *_) = load_certificates(identity_files(other.home, role).certificate)
        at.directory.local.pin(other.oid, spki_sha256(leaf), PinUse.ASSERTION, now=now())
        at.view.refresh()

    @contextlib.asynccontextmanager
    async def running(self):
        async with contextlib.AsyncExitStack() as stack:
            ledgers = []
            for site in (self.lake, self.hill):
                opened = stack.enter_context(opened_home(site.home, site.settings))
                ledger = ExchangeLedger(opened.engine, load_key(site.home.path))
                stack.callback(ledger.close)
                ledgers.append((opened, ledger))
            (self.here, near), (self.there, far) = ledgers
            self.trust = LiveTrust(self.hill.home, self.there.clock.now)
            asking = await stack.enter_async_context(asking_network(self.there, far, self.trust))
            await stack.enter_async_context(
                serving_fhir(
                    self.there,
                    far,
                    Metrics(),
                    LiveIdentities(self.hill.home),
                    self.trust,
                    asking=asking,
                )
            )
            trust = LiveTrust(self.lake.home, self.here.clock.now)
            self.asking = await stack.enter_async_context(asking_fhir(self.here, near, trust))
            context = client_context(
                tls_identity(self.lake.home, self.lake.settings, Role.CLIENT),
                trust.view.certificates(Usage.TLS_SERVER),
            )
            connector = aiohttp.TCPConnector(ssl=context)
            self.session = await stack.enter_async_context(
                aiohttp.ClientSession(connector=connector)
            )
            yield self

    async def get(self, path: str, token: str | None = None):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with self.session.get(f"{self.base}/{path}", headers=headers) as response:
            return response.status, await response.json(content_type=None)

    def principal(self, name: str = "Ida Sample, MD") -> Principal:
        return Principal(
            subject_id=name,
            user_id="isample",
            organization="Lake Health",
            organization_id=self.lake.oid,
            home_community_id=self.lake.hcid,
            role=Code(code="224608005", scheme="2.16.840.1.113883.6.96", display="Staff"),
            purpose=purpose_register().purposes[PURPOSE].code,
        )

    async def token(self, name: str = "Ida Sample, MD"):
        return await self.asking.token(self.hill.hcid, self.principal(name), SCOPE)

    def steps(self, site: Site, kind: type = Authorization) -> list[tuple[str, str, str]]:
        return [
            (str(e.fields["txn"]), str(e.fields["outcome"]), str(e.fields.get("reason", "")))
            for e in site.ledger()
            if e.fields["txn"] in tuple(kind)
        ]


def issue(network: Network, site: Site, role: FhirClient | FhirServer) -> None:
    kind = KeyKind.RSA_2048  # quicker to make than what operators get
    issue_identity(site.home, site.settings, network.authority, role, now=now(), kind=kind)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("fhir"))
    ports = free_ports(2)
    lake, hill = (
        network.add(name, initiates=(PURPOSE, INDIVIDUAL), extra=fhir(port) + PROVIDER)
        for name, port in zip(("lake", "hill"), ports, strict=True)
    )
    for purpose in (PURPOSE, INDIVIDUAL):
        issue(network, lake, FhirClient(purpose))
    for site in (lake, hill):
        (site.home.path / "csp.json").write_text(csp_jwks())
    issue(network, hill, FhirServer.SERVER)
    network.join()
    return network


@pytest.fixture
def pair(tmp_path, made):
    return Pair(tmp_path / "homes", made)


@pytest.fixture
def clinic_records(tmp_path):
    """The records of a FHIR server that is no node's."""
    folder = tmp_path / "clinic"
    folder.mkdir()
    records = open_records(f"sqlite:///{folder / 'clinic.db'}", folder)
    (folder / "in").mkdir()
    (folder / "in" / "all.json").write_bytes(bundle(*ANN))
    assert records.load(folder / "in").failures == ()
    yield records
    records.engine.dispose()


@pytest.fixture
def us(tmp_path):
    return identity("clinic.example", tmp_path)


async def test_two_nodes_discover_register_and_get_a_token_over_tls(pair):
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        found = await pair.asking.discover(pair.hill.hcid)
        assert found.community == COMMUNITY
        assert found.binding == "pinned"
        assert found.metadata.token_endpoint == f"{pair.base}/token"
        assert found.metadata.plain.deviations == ()
        first = await pair.asking.register(pair.hill.hcid, PURPOSE, SCOPE)
        again = await pair.asking.register(pair.hill.hcid, PURPOSE, SCOPE)
        assert first.client_id == again.client_id
        assert first.scope == " ".join(sorted(SCOPE))
        (client,) = OauthStore(pair.there.engine).clients()
        assert client.client_id == first.client_id
        assert (client.organization_id, client.purpose) == (pair.lake.oid, PURPOSE)

        token = await pair.token()
        assert set(token.scope.split()) == set(SCOPE)
        assert not token.reused
        assert (await pair.get("Patient/1", token.value))[0] == 404
        assert (await pair.get("Patient?name=x", token.value))[0] == 200
        assert (await pair.get("Condition/1", token.value))[0] == 403
        assert (await pair.get("Patient/1"))[0] == 401
        assert (await pair.get("Patient/1", "guessed"))[0] == 401

        # the same question is answered from memory, another user's is not
        assert (await pair.token()).reused
        other = await pair.token("Otto Other, MD")
        assert not other.reused
        assert other.value != token.value
        for site in (pair.lake, pair.hill):
            assert pair.steps(site) == [
                ("UDAP-REG", "ok", ""),
                ("UDAP-TOKEN", "ok", ""),
                ("UDAP-TOKEN", "ok", ""),
            ]
        ours, theirs = pair.lake.ledger()[1].fields, pair.hill.ledger()[1].fields
        assert (ours["dir"], theirs["dir"]) == ("initiating", "responding")
        assert (ours["peer"], theirs["peer"]) == (pair.hill.hcid, pair.lake.hcid)
        assert ours["bind"] == theirs["bind"] == "pinned"


async def test_an_individual_gets_a_token_for_their_own_records_at_another_node(pair, tmp_path):
    (tmp_path / "people.json").write_bytes(bundle(*ANN, ORSOLYA))
    token = id_token(now=now(), audience=pair.lake.hcid)
    individual = replace(
        pair.principal("Orsolya Brightwater"),
        purpose=purpose_register().purposes[INDIVIDUAL].code,
        id_token=token,
    )
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(INDIVIDUAL))
        there = pair.there
        load_folder(tmp_path, there.index, there.content, now(), fhir=fhir_loader(there))
        granted = await pair.asking.token(pair.hill.hcid, individual, SCOPE)
        status, found = await pair.get("Patient?birthdate=ge1900", granted.value)
        assert (status, [e["resource"]["id"] for e in found["entry"]]) == (200, ["orsolya"])
        stranger = replace(
            individual,
            id_token=id_token(
                {"family_name": "Nobody", "birthdate": "1950-01-01", "jti": "token-2"},
                now=now(),
                audience=pair.lake.hcid,
            ),
        )
        with pytest.raises(AnswerError) as refused:
            await pair.asking.token(pair.hill.hcid, stranger, SCOPE)
        assert refused.value.fault == "invalid_grant"
    for site in (pair.lake, pair.hill):
        assert token not in str([e.fields for e in site.ledger()])
    assert pair.steps(pair.hill)[-1] == ("UDAP-TOKEN", "declined", "ias-no-match")


async def test_many_askers_at_once_register_once_and_share_one_token(pair):
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        tokens = await asyncio.gather(*(pair.token() for _ in range(8)))
        assert len({token.value for token in tokens}) == 1
        assert sum(not token.reused for token in tokens) == 1
        assert len(pair.steps(pair.hill)) == 2


async def test_a_client_registers_again_after_its_certificate_changed(pair):
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        before = await pair.token()
        pair.issue(pair.lake, FhirClient(PURPOSE))  # a new key: Hill must be told of it first
        with pytest.raises(AnswerError) as caught:
            await pair.token()
        assert caught.value.fault == "unapproved_software_statement"
        assert pair.steps(pair.hill)[-1] == ("UDAP-REG", "declined", "signer-not-bound")
        assert pair.steps(pair.lake)[-1] == (
            "UDAP-REG",
            "declined",
            "oauth.unapproved_software_statement",
        )
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        after = await pair.token()
        assert not after.reused
        assert after.client_id == before.client_id
        assert [step for step, outcome, _ in pair.steps(pair.hill) if outcome == "ok"] == [
            "UDAP-REG",
            "UDAP-TOKEN",
            "UDAP-REG",
            "UDAP-TOKEN",
        ]


async def test_a_client_reads_a_patient_with_its_token(pair, tmp_path):
    (tmp_path / "bundle.json").write_bytes(bundle(*ANN))
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        there = pair.there
        load_folder(tmp_path, there.index, there.content, now(), fhir=fhir_loader(there))
        status, statement = await pair.get("metadata")
        assert (status, statement["implementation"]["url"]) == (200, pair.base)
        token = (await pair.token()).value
        status, found = await pair.get("Patient?name=arden", token)
        assert (status, [e["resource"]["id"] for e in found["entry"]]) == (200, ["ann"])
        status, found = await pair.get("Observation?patient=ann&code=718-7", token)
        assert [e["fullUrl"] for e in found["entry"]] == [f"{pair.base}/Observation/hb"]
        assert pair.steps(pair.hill, Interaction) == [("FHIR-SEARCH", "ok", "")] * 2
        entry = pair.hill.ledger()[-1].fields
        assert (entry["peer"], entry["purpose"]) == (pair.lake.hcid, PURPOSE)


async def test_a_node_stands_in_front_of_a_fhir_server_of_the_health_system(
    pair, us, tmp_path, clinic_records
):
    context = browser_context(TlsIdentity(certificate_file=us.path, key_file=us.path))
    async with fhir_world(clinic_records, replace(us, server=context), us) as clinic:
        (tmp_path / "ca.pem").write_bytes(network_ca().certificate.public_bytes(Encoding.PEM))
        token_file(tmp_path, clinic.token())
        upstream = UpstreamSection(
            url=clinic.base,
            ca_file=str(tmp_path / "ca.pem"),
            token_file=str(tmp_path / "upstream.token"),
        )
        pair.hill = replace(
            pair.hill, settings=pair.hill.settings.model_copy(update={"upstream": upstream})
        )
        async with pair.running():
            pair.pin(pair.here, pair.hill, FhirServer.SERVER)
            pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
            token = (await pair.token()).value
            assert (await pair.get("metadata"))[0] == 200
            assert (await pair.get("Patient/ann"))[0] == 401
            status, found = await pair.get("Observation?patient=ann", token)
            assert (status, found["total"]) == (200, 1)
            assert found["entry"][0]["fullUrl"] == f"{pair.base}/Observation/hb"
            assert (await pair.get("Condition?patient=ann", token))[0] == 403
            headers = {"authorization": f"Bearer {token}"}
            async with pair.session.post(
                pair.base, data=bundle(*ANN), headers=headers, allow_redirects=False
            ) as response:  # a batch goes to the base address itself
                assert response.status == 404
                assert (
                    "no batch"
                    in (await response.json(content_type=None))["issue"][0]["diagnostics"]
                )
        assert pair.steps(pair.hill, Interaction) == [
            ("FHIR-READ", "declined", "fhir-token-missing"),
            ("FHIR-SEARCH", "ok", ""),
            ("FHIR-SEARCH", "declined", "fhir-scope-missing"),
            ("FHIR-OTHER", "declined", "fhir-operation-unknown"),
        ]
    asked = [entry["txn"] for entry in clinic.entries()]
    assert "FHIR-SEARCH" in asked


async def test_a_server_that_lost_the_client_is_registered_at_again(pair):
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        token = await pair.token()
        store = OauthStore(pair.there.engine)
        assert store.end(token.client_id, now=now())
        assert (await pair.get("Patient/1", token.value))[0] == 401
        await pair.token("Otto Other, MD")
        assert pair.steps(pair.hill)[2:] == [
            ("UDAP-TOKEN", "declined", "client-cancelled"),
            ("UDAP-REG", "ok", ""),
            ("UDAP-TOKEN", "ok", ""),
        ]


async def test_a_client_cancels_its_registration(pair):
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        token = await pair.token()
        assert await pair.asking.cancel(pair.hill.hcid, PURPOSE)
        assert not await pair.asking.cancel(pair.hill.hcid, PURPOSE)
        assert (await pair.get("Patient/1", token.value))[0] == 401


async def test_nothing_is_sent_to_a_server_whose_signer_is_not_the_peers(pair):
    """Hill's TLS key is pinned and its metadata signed by the community, by a key that is not."""
    async with pair.running():
        with pytest.raises(CodedError) as caught:
            await pair.token()
        assert caught.value.code == "peer-not-bound"
        assert pair.steps(pair.hill) == []
        assert OauthStore(pair.there.engine).clients() == []


async def test_no_metadata_is_believed_of_another_community(pair):
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        with pytest.raises(CodedError) as caught:
            await pair.asking.discover(pair.hill.hcid, "urn:oid:2.999.77")
        assert caught.value.code == "udap-not-offered"


async def test_a_suspended_peer_is_not_asked_and_a_purpose_not_ours_neither(pair):
    async with pair.running():
        for code in ("T-HCO", PURPOSE):
            pair.here.directory.local.suspend(pair.hill.oid, "a reason", now=now())
            pair.here.view.refresh()
            principal = replace(pair.principal(), purpose=purpose_register().purposes[code].code)
            with pytest.raises(CodedError) as caught:
                await pair.asking.token(pair.hill.hcid, principal, SCOPE)
            assert caught.value.code == "fhir-not-permitted"
        assert pair.steps(pair.hill) == []


async def test_an_anchor_that_is_taken_away_ends_what_it_vouched_for(pair):
    async with pair.running():
        pair.pin(pair.here, pair.hill, FhirServer.SERVER)
        pair.pin(pair.there, pair.lake, FhirClient(PURPOSE))
        await pair.token()
        for file in pair.hill.home.anchors.iterdir():
            file.unlink()
        assert await pair.trust.check()
        with pytest.raises(CodedError):
            await pair.token("Otto Other, MD")
        assert pair.steps(pair.hill)[-1][1:] == ("declined", "chain-incomplete")
