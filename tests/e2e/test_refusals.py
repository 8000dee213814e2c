"""Who may not, does not get; every refusal has its reason in the ledger of who refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from messages import (
    Answer,
    ask,
    discovery,
    envelope,
    find_documents,
    header,
    new_message_id,
    post,
    principal,
    response_code,
    retrieve,
)
from node_network import ARC, MRN, Site, now, until
from sample_world import write_opt_outs

from node.identity import Role, identity_files, saml_signer
from node.ledger.find import Entry
from node.ledger.private import load_key
from node.ledger.show import show
from node.model import DocumentRef, HomeCommunityId, PatientId, Transaction
from node.opened import opened_home
from node.settings import NodeHome
from node.setup import request_certificate
from node.storage.engine import open_engine
from node.wire.faults import FaultCode, Subcode
from trust.ca import Profile, issue
from trust.certificates import load_certificates
from trust.csr import load_csr
from trust.keys import KeyKind, spki_sha256
from trust.keys import load_key as load_private_key
from trust.signer import KeySigner

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("clinic")]

# stands in the records and in no question
HELD = b"Harbour Lane"
ITI_55, ITI_38, ITI_39 = Transaction.ITI_55, Transaction.ITI_38, Transaction.ITI_39


class Clinic:
    """Asks the clinic and looks into its ledger."""

    def __init__(self, world):
        self.world, self.site = world, world.clinic

    def discover(self, by: Site, *, body: bytes | None = None, **signing) -> tuple[Answer, Entry]:
        return self.ask(by, ITI_55, body or discovery(by), **signing)

    def ask(self, by: Site, transaction: Transaction, body: bytes, **signing):
        message_id = new_message_id()
        answer = ask(by, self.site, transaction, body, message_id=message_id, **signing)
        return answer, self.site.entry_of(message_id)

    def refused(self, by: Site, **signing) -> Entry:
        """The entry of a request that was refused with a security fault."""
        answer, entry = self.discover(by, **signing)
        fault = answer.fault
        assert fault.code is FaultCode.SENDER
        assert fault.subcode is not None
        assert "wss-wssecurity" in fault.subcode
        assert entry.fields["outcome"] == "declined"
        assert str(entry.fields["reason"]) not in fault.reason  # what failed is ours to know
        return entry


@pytest.fixture
def clinic_node(world) -> Clinic:
    return Clinic(world)


def patient_of(world) -> PatientId:
    """The person's id at the clinic."""
    site = world.clinic
    with opened_home(site.home, site.settings) as at_clinic:
        page = at_clinic.index.documents(after="", limit=10)
    (patient,) = {
        held.entry.patient_id for held in page if held.entry.title in ("Summary 1", "Summary 2")
    }
    assert patient is not None
    return patient


def refs_of(world) -> list[DocumentRef]:
    node = world.clinic.settings.node
    return [
        DocumentRef(
            home_community_id=HomeCommunityId(node.home_community_id),
            repository_unique_id=node.repository_unique_id,
            document_unique_id=f"2.999.91.{number}",
        )
        for number in (1, 2)
    ]


# --- decided by policy --------------------------------------------------------------------------


def test_a_good_request_is_answered_and_bound_by_pins(world, clinic_node):
    answer, entry = clinic_node.discover(world.asker)
    assert response_code(answer) == "OK"
    assert entry.fields["bind"] == "pinned"
    assert "reason" not in entry.fields


def test_a_purpose_the_askers_entry_does_not_list_is_declined_with_the_reason(world, clinic_node):
    answer, entry = clinic_node.discover(world.payer)
    assert response_code(answer) == "AE"
    assert b"[purpose-not-listed]" in answer.body
    assert (entry.fields["outcome"], entry.fields["reason"]) == ("declined", "purpose-not-listed")
    for transaction, body in (
        (ITI_38, find_documents(patient_of(world), world.clinic.hcid)),
        (ITI_39, retrieve(*refs_of(world))),
    ):
        answer, entry = clinic_node.ask(world.payer, transaction, body)
        assert b"ResponseStatusType:Failure" in answer.body
        assert b"[purpose-not-listed]" in answer.body
        assert HELD not in answer.body
        assert entry.fields["reason"] == "purpose-not-listed"


def test_a_purpose_for_delivery_only_is_declined(world, clinic_node):
    answer, entry = clinic_node.discover(
        world.asker, who=principal(world.asker, purpose="T-PH-ECR")
    )
    assert response_code(answer) == "AE"
    assert entry.fields["reason"] == "purpose-push-only"


def test_another_community_is_answered_as_case_5(world, clinic_node):
    body = discovery(world.asker, target=f"urn:oid:{ARC}.999")
    answer, entry = clinic_node.discover(world.asker, body=body)
    assert response_code(answer) == "AE"
    assert b"AnswerNotAvailable" in answer.body
    assert entry.fields["reason"] == "wrong-community"


def test_a_suspended_peer_is_declined_within_seconds_and_served_again_after(world, clinic_node):
    done = world.clinic.cli("peer", "suspend", world.asker.hcid, "--reason", "under review")
    assert done.returncode == 0, done.stderr
    try:
        until(lambda: response_code(clinic_node.discover(world.asker)[0]) == "AE", seconds=15)
        answer, entry = clinic_node.discover(world.asker)
        assert b"[peer-suspended]" in answer.body
        assert (entry.fields["outcome"], entry.fields["reason"]) == ("declined", "peer-suspended")
    finally:
        assert world.clinic.cli("peer", "resume", world.asker.hcid).returncode == 0
    until(lambda: response_code(clinic_node.discover(world.asker)[0]) == "OK", seconds=15)


def test_an_opt_out_written_while_the_node_runs_counts_at_every_step(world, clinic_node):
    patient, refs = patient_of(world), refs_of(world)
    asks = {
        ITI_55: discovery(world.asker),
        ITI_38: find_documents(patient, world.clinic.hcid),
        ITI_39: retrieve(*refs),
    }
    write_opt_outs(world.clinic, f"2.999.91,{MRN}")
    try:
        for transaction, body in asks.items():
            answer, entry = clinic_node.ask(world.asker, transaction, body)
            assert HELD not in answer.body
            assert (entry.fields["outcome"], entry.fields["reason"]) == (
                "declined",
                "patient-opted-out",
            )
            if transaction is ITI_55:  # quiet: not even that the person is known here
                assert response_code(answer) == "NF"
                assert b"opted" not in answer.body
    finally:
        write_opt_outs(world.clinic)
    answer, _ = clinic_node.ask(world.asker, ITI_55, discovery(world.asker))
    assert response_code(answer) == "OK"
    answer, _ = clinic_node.ask(world.asker, ITI_39, asks[ITI_39])
    assert HELD in answer.body


def test_an_opt_out_file_that_became_wrong_stops_answers_not_the_opt_out(world, clinic_node):
    path = world.clinic.home.path / "opt-out.csv"
    path.write_text("assigning_authority,id\n2.999.91\n", encoding="utf-8")
    try:
        answer, entry = clinic_node.discover(world.asker)
        assert answer.fault.code is FaultCode.RECEIVER
        assert HELD not in answer.body
        assert entry.fields["outcome"] == "failed"
    finally:
        write_opt_outs(world.clinic)
    assert response_code(clinic_node.discover(world.asker)[0]) == "OK"


# --- decided by authentication ------------------------------------------------------------------


def test_a_peer_without_pins_may_not_ask_where_the_settings_say_so(world, clinic_node):
    assert clinic_node.refused(world.lab).fields["reason"] == "peer-not-pinned"


def test_who_stands_in_no_directory_may_not_ask(world, clinic_node):
    entry = clinic_node.refused(world.stranger)
    assert entry.fields["reason"] == "unknown-peer"
    assert "peer" not in entry.fields  # a claim that nothing proved is not written as the peer


def test_a_stolen_assertion_over_another_organisations_connection_is_refused(world, clinic_node):
    entry = clinic_node.refused(world.asker, tls=world.payer)
    assert entry.fields["reason"] == "tls-key-not-bound"
    # which key it was, for us
    shown = certificates_key(world.payer)
    assert shown in str(show_private(world.clinic, entry)["who"].value)


def certificates_key(site: Site) -> str:
    """SHA-256 of the key with which a site opens connections."""
    return spki_sha256(load_certificates(identity_files(site.home, Role.CLIENT).certificate)[0])


def show_private(site: Site, entry: Entry):
    engine = open_engine(site.home.database_url(site.settings))
    try:
        shown = show(engine, entry.entry_id, load_key(site.home.path))
    finally:
        engine.dispose()
    assert shown is not None
    assert not shown.findings
    return shown.groups


def test_another_certificate_of_the_same_ca_is_not_the_pinned_key(world, clinic_node, tmp_path):
    """The same organisation's name, issued by the same CA, but a key nobody pinned."""
    twin = world.network.sites["asker"]
    folder = tmp_path / "twin"
    home = NodeHome(folder)
    home.keys.mkdir(parents=True)
    home.keys.chmod(0o700)
    files = request_certificate(home, twin.settings, Role.SAML, kind=KeyKind.P_256)
    certificate = issue(
        world.network.authority, load_csr(files.request), profile=Profile.SAML_SIGNING, now=now()
    )
    signer = KeySigner(key=load_private_key(files.key), certificate=certificate)
    assert clinic_node.refused(twin, signer=signer).fields["reason"] == "saml-signer-key-not-bound"
    own = saml_signer(twin.home, twin.settings)
    assert (
        clinic_node.refused(twin, signer=own, holder=signer).fields["reason"]
        == "holder-of-key-not-bound"
    )


def test_an_organisation_of_another_community_is_not_ours_to_name(world, clinic_node):
    who = principal(world.asker, organization_id=world.payer.oid)
    assert clinic_node.refused(world.asker, who=who).fields["reason"] == "organization-elsewhere"


@pytest.mark.parametrize(
    ("minutes", "subcode"),
    [(-30, Subcode.MESSAGE_EXPIRED), (30, None)],
    ids=["expired", "not yet valid"],
)
def test_an_assertion_out_of_its_time_is_refused(world, clinic_node, minutes, subcode):
    answer, entry = clinic_node.discover(world.asker, at=now() + timedelta(minutes=minutes))
    assert answer.fault.code is FaultCode.SENDER
    if subcode:
        assert answer.fault.subcode == subcode
    assert entry.fields["outcome"] == "declined"
    assert entry.fields["reason"] in (
        "message-expired",
        "assertion-expired",
        "message-not-yet-valid",
        "assertion-not-yet-valid",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Dr Sample", b"Dr Simple"),
        (b"T-TRTMNT", b"T-PYMNT"),
        (b"sample@asker.example", b"simple@asker.example"),
        (b"<wsu:Created>2", b"<wsu:Created>3"),
    ],
)
def test_an_altered_header_is_refused(world, old, new):
    security = header(world.asker, world.clinic, ITI_55).octets
    assert old in security
    message_id = new_message_id()
    data = envelope(
        world.clinic, ITI_55, discovery(world.asker), security.replace(old, new), message_id
    )
    answer = post(world.asker, world.clinic.url(ITI_55), data)
    assert answer.fault.code is FaultCode.SENDER
    entry = world.clinic.entry_of(message_id)
    assert entry.fields["outcome"] == "declined"
    assert entry.fields["reason"]


def test_an_assertion_for_another_address_is_refused(world):
    security = header(world.asker, world.slow, ITI_55).octets
    message_id = new_message_id()
    data = envelope(world.clinic, ITI_55, discovery(world.asker), security, message_id)
    assert post(world.asker, world.clinic.url(ITI_55), data).fault.subcode
    assert world.clinic.entry_of(message_id).fields["reason"] == "assertion-audience"


def test_the_same_bytes_twice_are_a_replay(world):
    message_id = new_message_id()
    security = header(world.asker, world.clinic, ITI_55).octets
    data = envelope(world.clinic, ITI_55, discovery(world.asker), security, message_id)
    url = world.clinic.url(ITI_55)
    assert response_code(post(world.asker, url, data)) == "OK"
    again = post(world.asker, url, data)
    assert again.fault.code is FaultCode.SENDER
    assert "wss-wssecurity" in (again.fault.subcode or "")
    first, second = [e for e in world.clinic.ledger() if e.fields.get("msg") == message_id]
    assert (first.fields["outcome"], second.fields["outcome"]) == ("ok", "declined")
    assert second.fields["reason"] == "replay"


def test_the_same_assertion_in_another_message_is_a_replay(world, clinic_node):
    security = header(world.asker, world.clinic, ITI_55).octets
    url, ids = world.clinic.url(ITI_55), [new_message_id(), new_message_id()]
    answers = [
        post(
            world.asker,
            url,
            envelope(world.clinic, ITI_55, discovery(world.asker), security, message_id),
        )
        for message_id in ids
    ]
    assert response_code(answers[0]) == "OK"
    assert answers[1].fault.code is FaultCode.SENDER
    assert world.clinic.entry_of(ids[1]).fields["reason"] == "replay"


def test_without_a_security_header_a_request_is_refused(world):
    message_id = new_message_id()
    data = envelope(world.clinic, ITI_55, discovery(world.asker), b"", message_id)
    answer = post(world.asker, world.clinic.url(ITI_55), data)
    assert answer.fault.code is FaultCode.SENDER
    assert world.clinic.entry_of(message_id).fields["reason"] == "security-missing"


def test_numbers_of_the_ledger_have_no_gap(world, clinic_node):
    clinic_node.discover(world.asker)
    numbers = [entry.seq for entry in world.clinic.log()]
    assert numbers == list(range(len(numbers)))
