"""A probe names the layer at which a peer is wrong, and whose side that is on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import bad_peers as bad
import pytest
from probing_world import Probes, probing
from soap_world import ALICE, OUR_HCID

from node.model import (
    Code,
    Demographics,
    DiscoveryAnswer,
    Match,
    MatchStatus,
    Outcome,
    PersonName,
    Transaction,
)
from node.probe.layers import Layer, ProbeReport, Side, State
from node.probe.sockets import Patience
from trust.key_floor import Finding
from trust.revocation_policy import (
    CertificateStatus,
    RevocationDecision,
    RevocationPolicy,
    Source,
    Unknown,
)
from trust.revocation_policy import State as Known

OURS, THEIRS, NETWORK, UNKNOWN = Side.OURS, Side.THEIRS, Side.NETWORK, Side.UNKNOWN
CASE_5 = "1.3.6.1.4.1.19376.1.2.27.3"


# Only a peer that never does the awaited thing is waited for briefly: any other may be slow here.
BRIEF, AMPLE = 0.5, 30.0
AWAITED = {"loses packets": "connect", "says nothing": "handshake", "never answers": "answer"}


@asynccontextmanager
async def patient(them, awaited: str | None = None):
    waits = dict.fromkeys(("connect", "handshake", "answer"), AMPLE) | (
        {awaited: BRIEF} if awaited else {}
    )
    patience = Patience(connect=waits["connect"], handshake=waits["handshake"])
    async with probing(them, patience=patience, seconds=waits["answer"]) as made:
        yield made


@pytest.fixture
async def probes(them):
    async with patient(them) as made:
        yield made


async def probe_of(peer, us, probes: Probes) -> ProbeReport:
    async with peer(us) as where:
        if isinstance(where, str):
            return await probes.probe(where)
        return await probes.probe(where.url(Transaction.ITI_55))


def subcode(name: str, namespace: str = bad.WSSE):
    return bad.answering(bad.fault("Sender", name, namespace))


BAD_PEERS = {
    "refuses TCP": (bad.refusing, Layer.TCP, "connect-refused", THEIRS),
    "loses packets": (bad.black_hole, Layer.TCP, "connect-timeout", NETWORK),
    "says nothing": (bad.silent, Layer.TLS, "tls-silent", THEIRS),
    "speaks plain HTTP": (bad.plain_http, Layer.TLS, "tls-not-spoken", THEIRS),
    "hangs up in the handshake": (bad.hanging_up, Layer.TLS, "tls-closed", THEIRS),
    "has TLS 1.1 only": (bad.own_context(old=True), Layer.TLS, "tls-version-refused", THEIRS),
    "has CBC suites only": (
        bad.own_context(cipher="ECDHE-ECDSA-AES128-SHA256"),
        Layer.TLS, "tls-cipher-refused", THEIRS,
    ),
    "has an expired certificate": (
        bad.showing(ends=timedelta(hours=-1)), Layer.CHAIN, "certificate-expired", THEIRS,
    ),
    "has a certificate of the future": (
        bad.showing(starts=timedelta(hours=1)), Layer.CHAIN, "certificate-not-yet-valid", THEIRS,
    ),
    "has a certificate of an unknown CA": (
        bad.showing(known=False), Layer.CHAIN, "anchor-unknown", UNKNOWN,
    ),
    "leaves out an intermediate": (
        bad.showing(intermediate=True, sends=1), Layer.CHAIN, "chain-incomplete", THEIRS,
    ),
    "has a certificate for another host": (
        bad.showing(dns="elsewhere.example"), Layer.BINDING, "host-name-mismatch", THEIRS,
    ),
    "does not ask for our certificate": (
        bad.client_rules(asks=False), Layer.MTLS, "client-certificate-not-requested", THEIRS,
    ),
    "refuses our certificate after the handshake": (
        bad.client_rules(accepts=False), Layer.MTLS, "client-certificate-untrusted", THEIRS,
    ),
    "refuses our certificate in the handshake": (
        bad.client_rules(accepts=False, newest=False),
        Layer.MTLS, "client-certificate-untrusted", THEIRS,
    ),
    "closes when it has seen our certificate": (
        bad.closing_after_handshake, Layer.MTLS, "closed-after-handshake", UNKNOWN,
    ),
    "drops us in the handshake without an alert": (
        bad.dropping_in_handshake, Layer.MTLS, "closed-after-handshake", UNKNOWN,
    ),
    "answers 404": (
        bad.answering(lambda _: bad.http(b"Not here", "404 Not Found", "text/plain")),
        Layer.SOAP, "answer-not-soap", THEIRS,
    ),
    "answers 503": (
        bad.answering(lambda _: bad.http(b"Busy", "503 Unavailable", "text/plain")),
        Layer.SOAP, "peer-unavailable", THEIRS,
    ),
    "answers a web page": (
        bad.answering(lambda _: bad.http(b"<html><body>Hi</body></html>", kind="text/html")),
        Layer.SOAP, "answer-not-soap", THEIRS,
    ),
    "redirects": (
        bad.answering(lambda _: bad.http(b"", "302 Found\r\nLocation: https://a.example/")),
        Layer.SOAP, "answer-redirected", THEIRS,
    ),
    "answers nothing": (
        bad.answering(lambda _: bad.http(b"")), Layer.SOAP, "empty-answer", NETWORK,
    ),
    "speaks SOAP 1.1": (
        bad.answering(bad.envelope_11), Layer.SOAP, "soap-version", THEIRS,
    ),
    "faults in SOAP 1.1": (bad.answering(bad.fault_11), Layer.SOAP, "soap-version", THEIRS),
    "never answers": (bad.answering(lambda _: None), Layer.SOAP, "timeout", THEIRS),
    "closes in mid-answer": (bad.answering(bad.cut_off), Layer.SOAP, "reset", NETWORK),
    "never stops": (bad.answering(bad.endless), Layer.SOAP, "message-too-large", THEIRS),
    "answers another request": (
        bad.answering(lambda _: bad.nothing_held("urn:uuid:00000000-0000-4000-8000-000000000000")),
        Layer.SOAP, "addressing-mismatch", THEIRS,
    ),
    "serves another transaction": (
        subcode("ActionNotSupported", bad.WSA), Layer.SOAP, "action-not-supported", THEIRS,
    ),
    "breaks down": (
        bad.answering(bad.fault("Receiver")), Layer.ANSWER, "fault-receiver", THEIRS,
    ),
    "finds the message wrong": (
        bad.answering(bad.fault("Sender")), Layer.ANSWER, "fault-sender", UNKNOWN,
    ),
    **{
        f"faults {name}": (subcode(name, space), Layer.SAML, f"saml-{name}", side)
        for name, space, side in (
            ("InvalidSecurity", bad.WSSE, UNKNOWN),
            ("FailedAuthentication", bad.WSSE, UNKNOWN),
            ("FailedCheck", bad.WSSE, UNKNOWN),
            ("SecurityTokenUnavailable", bad.WSSE, THEIRS),
            ("InvalidSecurityToken", bad.WSSE, UNKNOWN),
            ("UnsupportedSecurityToken", bad.WSSE, THEIRS),
            ("UnsupportedAlgorithm", bad.WSSE, THEIRS),
            ("MessageExpired", bad.WSU, UNKNOWN),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PEERS)
async def test_a_bad_peer_fails_at_its_layer(name, us, them) -> None:
    peer, layer, code, side = BAD_PEERS[name]
    async with patient(them, AWAITED.get(name)) as probes:
        report = await probe_of(peer, us, probes)
    failed = report.failed
    assert failed is not None
    assert (failed.layer, failed.code, failed.side) == (layer, code, side), failed.sentence
    assert failed.next_step
    assert not report.good
    below = list(Layer)[: list(Layer).index(layer)]
    assert {report.at(one).state for one in below} <= {State.OK, State.UNKNOWN}
    # what was sent is in the ledger, once for each message, and as a test
    sent = report.outcome is not None
    assert bool(probes.ledger.records) == sent
    assert all(record.synthetic for record in probes.ledger.records)


async def test_a_host_that_does_not_exist_fails_at_its_name(us, probes) -> None:
    report = await probe_of(bad.unknown_name, us, probes)
    assert report.failed.layer is Layer.DNS
    # a name server that knows says so; without one in reach nobody can
    expected = {"dns-unknown": THEIRS, "dns-unanswered": OURS}
    assert report.failed.side is expected[report.failed.code]


async def test_the_missing_intermediate_is_named(us, probes) -> None:
    report = await probe_of(bad.showing(intermediate=True, sends=1), us, probes)
    assert "Missing: the certificate of CN=Regional Issuing CA" in report.failed.sentence
    complete = await probe_of(bad.showing(intermediate=True), us, probes)
    assert complete.at(Layer.CHAIN).state is State.OK


async def test_a_message_goes_to_nobody_whose_server_is_not_bound(us, them) -> None:
    async with probing(them, pins=frozenset({"0" * 64})) as probes:
        report = await probe_of(bad.answering(bad.nothing_held), us, probes)
        assert report.failed.layer is Layer.BINDING
        assert report.failed.code == "tls-key-not-bound"
        assert probes.ledger.records == []


async def test_without_our_certificate_being_asked_for_the_rest_is_told_all_the_same(
    us, probes
) -> None:
    report = await probe_of(bad.client_rules(asks=False), us, probes)
    assert report.at(Layer.SOAP).state is not State.NOT_REACHED


async def test_a_probe_that_is_stopped_is_in_the_ledger_as_such(us, them) -> None:
    asked = asyncio.Event()

    def answer(_message_id):
        asked.set()

    async with probing(them, seconds=60) as probes, bad.answering(answer)(us) as where:
        task = asyncio.create_task(probes.probe(where))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (record,) = probes.ledger.records
    assert record.leg.outcome is Outcome.CANCELLED
    assert record.synthetic


async def test_an_expired_client_certificate_is_our_own_fault(us, them) -> None:
    async with probing(them) as probes:
        probes.prober._own_until -= timedelta(days=365)
        report = await probe_of(bad.client_rules(accepts=False), us, probes)
    assert (report.failed.code, report.failed.side) == ("client-certificate-expired", OURS)


# --- revocation ---------------------------------------------------------------------------------


class Revoked:
    """Knows one thing of every leaf; implements ``trust.bound_chain.Revocations``."""

    def __init__(self, code: str | None, *, soft: bool = False) -> None:
        self.code, self.soft = code, soft

    def generation(self):
        return 0

    def issuers(self, _certificate):
        return ()

    def judge(self, path, *, now):
        doubt = Finding(code=self.code, sentence="There is no CRL.") if self.code else None
        return RevocationDecision(
            ok=self.code is None or self.soft,
            reason_code=None if self.soft else self.code,
            sentence="What the CRL says." if doubt is None else doubt.sentence,
            policy=RevocationPolicy.REQUIRE_CRL,
            unknown=Unknown.SOFT if self.soft else Unknown.HARD,
            certificates=(
                CertificateStatus(
                    key="", serial="2a", state=Known.GOOD, source=Source.CRL,
                    crl_number=7, age=timedelta(hours=5),
                ),
            ),
            warnings=(doubt,) if doubt and self.soft else (),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "code", "state"),
    [
        (Revoked(None), None, State.OK),
        (Revoked("certificate-revoked"), "certificate-revoked", State.FAIL),
        (Revoked("crl-missing"), "crl-missing", State.FAIL),
        (Revoked("crl-missing", soft=True), "crl-missing", State.WARN),
        (None, "revocation-not-checked", State.UNKNOWN),
    ],
)
async def test_revocation_is_told_by_the_rule_of_the_anchor(known, code, state, us, them) -> None:
    async with probing(them, revocations=known) as probes:
        report = await probe_of(bad.gateway(them), us, probes)
    shown = report.at(Layer.REVOCATION)
    assert (shown.code, shown.state) == (code, state)
    assert report.good == (state is not State.FAIL)
    if state is State.OK:
        assert shown.facts["serial 2a"] == "good by crl, CRL number 7, made 5 hours ago"
    if state is State.FAIL:
        assert probes.ledger.records == []


# --- the directory ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "side"),
    [
        ({"suspended": True}, "peer-suspended", OURS),
        ({"unsigned_refused": True}, "unsigned-entry", OURS),
        ({"active": False}, "peer-inactive", THEIRS),
        ({"home_community_id": ""}, "home-missing", THEIRS),
        ({"responds": {Transaction.ITI_55: frozenset({"T-PYMNT"})}},
         "peer-does-not-respond", THEIRS),
    ],
)  # fmt: skip
async def test_an_entry_that_may_not_be_asked_is_looked_at_and_not_asked(
    changes, code, side, us, them, probes
) -> None:
    async with bad.gateway(them)(us) as world:
        report = await probes.probe(world.url(Transaction.ITI_55), **changes)
        assert world.responding.entries == []
    assert (report.failed.layer, report.failed.code) == (Layer.DIRECTORY, code)
    assert report.failed.side is side
    assert report.at(Layer.MTLS).state is State.OK
    assert report.at(Layer.SOAP).state is State.NOT_REACHED
    assert probes.ledger.records == []


async def test_an_entry_without_endpoint_ends_at_the_directory(probes) -> None:
    report = await probes.probe("", addresses={})
    assert (report.failed.layer, report.failed.code) == (Layer.DIRECTORY, "no-route")
    assert {one.state for one in report.layers[1:]} == {State.NOT_REACHED}


async def test_an_address_that_is_no_https_url_ends_at_the_directory(probes) -> None:
    report = await probes.probe("http://localhost:80/xcpd")
    assert (report.failed.layer, report.failed.code) == (Layer.DIRECTORY, "address-invalid")


# --- answers ------------------------------------------------------------------------------------


def match_of(family: str | None) -> DiscoveryAnswer:
    names = (PersonName(family=family, given=("Somebody",)),) if family else ()
    return DiscoveryAnswer(
        status=MatchStatus.OK,
        matches=(
            Match(
                patient_id=ALICE,
                home_community_id=OUR_HCID,
                demographics=Demographics(names=names, birth_date="19700101", sex="F"),
            ),
        ),
    )


def problem(code: str) -> DiscoveryAnswer:
    return DiscoveryAnswer(status=MatchStatus.AE, problem=Code(code=code, scheme=CASE_5))


async def answer_of(answer, us, them, probes) -> ProbeReport:
    return await probe_of(bad.gateway(them, answer), us, probes)


@pytest.mark.parametrize("answer", [None, match_of("QTFTEST-042")], ids=["nobody", "test patient"])
async def test_a_clean_no_match_and_the_test_patient_are_good_answers(
    answer, us, them, probes
) -> None:
    report = await answer_of(answer, us, them, probes)
    assert report.good
    assert {one.state for one in report.layers} <= {State.OK, State.UNKNOWN}, report.failed
    (record,) = probes.ledger.records
    assert record.synthetic
    assert record.purpose == "T-TRTMNT"
    assert record.leg.leg_id == report.leg_id
    assert report.certificate.names == ("127.0.0.1", "localhost", "us.example")


async def test_somebody_elses_identity_fails_and_stays_out_of_the_report(us, them, probes) -> None:
    report = await answer_of(match_of("Canary-Newman"), us, them, probes)
    assert (report.failed.layer, report.failed.code) == (Layer.ANSWER, "match-foreign")
    assert report.failed.side is THEIRS
    assert "Canary" not in repr(report)
    (record,) = probes.ledger.records
    assert record.private.patient  # what came is where PHI belongs, and can be shown to the peer


@pytest.mark.parametrize(
    ("answer", "code", "state"),
    [
        (match_of(None), "match-unnamed", State.FAIL),
        (DiscoveryAnswer(status=MatchStatus.OK, asks=("PatientAddressRequested",)),
         "asks-more", State.WARN),
        (problem("AnswerNotAvailable"), "declined", State.WARN),
        (problem("ResponderBusy"), "responder-error", State.FAIL),
    ],
)  # fmt: skip
async def test_an_unclean_answer_is_named(answer, code, state, us, them, probes) -> None:
    report = await answer_of(answer, us, them, probes)
    shown = report.at(Layer.ANSWER)
    assert (shown.code, shown.state, shown.side) == (code, state, THEIRS)
    assert report.good == (state is State.WARN)
    assert report.at(Layer.SAML).state is State.OK


@pytest.mark.parametrize("transaction", [Transaction.ITI_38, Transaction.ITI_39])
async def test_a_query_and_a_retrieve_ask_for_what_nobody_has(
    transaction, us, them, probes
) -> None:
    async with bad.gateway(them)(us) as world:
        report = await probes.probe(world.url(transaction), transaction)
        ((inbound, _),) = world.responding.entries
    assert report.good, report.failed
    assert inbound.transaction is transaction
    assert report.outcome in (Outcome.OK_EMPTY, Outcome.FAILED)
    assert all(record.synthetic for record in probes.ledger.records)


async def test_documents_for_an_id_that_nobody_has_are_a_failure(us, them, probes) -> None:
    async with bad.running(us, them, documents=[("1.2.3.1", 100)]) as world:
        report = await probes.probe(world.url(Transaction.ITI_38), Transaction.ITI_38)
    assert (report.failed.layer, report.failed.code) == (Layer.ANSWER, "unexpected-documents")
