"""Named after the revocation lines of the negative-test checklist (facts pki A6, A11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from trust.certificates import fingerprint
from trust.crl import AcceptedCrl, Freshness, parse_crl
from trust.crl_store import CrlShelf
from trust.errors import error_table
from trust.keys import spki_sha256
from trust.ocsp import OcspAnswer, OcspStatus
from trust.revocation import judge_revocation
from trust.revocation_policy import (
    RevocationPolicy,
    RevocationRule,
    Source,
    State,
    Unknown,
)

HARD = RevocationRule(policy=RevocationPolicy.REQUIRE_CRL)
SOFT = replace(HARD, unknown=Unknown.SOFT)
OCSP = replace(HARD, policy=RevocationPolicy.PREFER_CRL_THEN_OCSP)
SHORT = replace(HARD, policy=RevocationPolicy.SHORT_LIVED_EXEMPT)
DIRECTORY = replace(HARD, policy=RevocationPolicy.DIRECTORY_ONLY)

HOUR = timedelta(hours=1)


@pytest.fixture
def leaf(forge, intermediate):
    return forge("leaf.example", issuer=intermediate)


@pytest.fixture
def path(leaf, intermediate, root):
    return (leaf.certificate, intermediate.certificate, root.certificate)


@pytest.fixture
def shelf(sign_crl, path, intermediate, root):
    """``shelf(intermediate={...}, root={...})`` signs one CRL each; ``None`` leaves one out."""

    def shelf(lower=(), upper=()):
        crls = []
        for given, issuer, signer in ((lower, intermediate, path[1:]), (upper, root, path[2:])):
            if given is not None:
                several = [given] if isinstance(given, dict) else (given or [{}])
                crls += [
                    AcceptedCrl(crl=parse_crl(sign_crl(issuer, **each)), signer=signer)
                    for each in several
                ]
        return CrlShelf.of(crls)

    return shelf


@pytest.fixture
def judge(path, now):
    def judge(shelf, rule=HARD, *, at=now, **more):
        decision = judge_revocation(path, shelf, rule=rule, now=at, **more)
        assert decision.ok == (decision.reason_code is None)
        assert decision.sentence
        for code in (decision.reason_code, *(w.code for w in decision.warnings)):
            assert code is None or code in error_table("trust")
        return decision

    return judge


def test_a_good_chain_says_which_crls_decided(judge, shelf, path, now):
    decision = judge(shelf({"number": 41}, {"number": 7, "ends": now + HOUR}))
    assert decision.ok
    assert [s.state for s in decision.certificates] == [State.GOOD, State.GOOD]
    assert [s.key for s in decision.certificates] == [spki_sha256(c) for c in path[:2]]
    assert [s.crl_number for s in decision.certificates] == [41, 7]
    assert [s.age for s in decision.certificates] == [HOUR, HOUR]
    assert decision.valid_until == now + HOUR


def test_revoked_leaf(judge, shelf, path):
    serial = path[0].serial_number
    decision = judge(shelf({"revoked": [1, serial, 2]}))
    assert decision.reason_code == "certificate-revoked"
    assert [s.state for s in decision.certificates] == [State.REVOKED, State.GOOD]


def test_revoked_ca(judge, shelf, path):
    decision = judge(shelf({}, {"revoked": [path[1].serial_number]}))
    assert decision.reason_code == "certificate-revoked"


def test_the_serial_number_of_another_issuer_revokes_nothing(judge, shelf, path):
    assert judge(
        shelf({"revoked": [path[1].serial_number]}, {"revoked": [path[0].serial_number]})
    ).ok


@pytest.mark.parametrize("policy", list(RevocationPolicy))
@pytest.mark.parametrize("unknown", list(Unknown))
def test_no_policy_forgives_a_revoked_certificate(judge, shelf, path, policy, unknown):
    rule = RevocationRule(policy=policy, unknown=unknown)
    revoked = shelf({"revoked": [path[0].serial_number]})
    assert judge(revoked, rule).reason_code == "certificate-revoked"


@pytest.mark.parametrize("missing", ["leaf", "ca", "both"])
def test_no_crl(judge, shelf, missing):
    partly = shelf(None if missing != "ca" else {}, None if missing != "leaf" else {})
    assert judge(partly).reason_code == "crl-missing"
    soft = judge(partly, SOFT)
    assert soft.ok
    assert {w.code for w in soft.warnings} == {"crl-missing"}


def test_stale_crl(judge, shelf, now):
    crls = shelf({"ends": now + HOUR}, {"ends": now + 40 * HOUR})
    late = now + 2 * HOUR
    assert judge(crls, at=late).reason_code == "crl-stale"
    soft = judge(crls, SOFT, at=late)
    assert soft.ok
    assert [s.freshness for s in soft.certificates] == [Freshness.STALE, Freshness.FRESH]
    assert [w.code for w in soft.warnings] == ["crl-stale"]


def test_expired_crl(judge, shelf, now):
    crls = shelf({"ends": now + HOUR}, {"ends": now + 90 * HOUR})
    late = now + 26 * HOUR
    assert judge(crls, at=late).reason_code == "crl-expired"
    assert [w.code for w in judge(crls, SOFT, at=late).warnings] == ["crl-expired"]


@pytest.mark.parametrize("hours", [2, 26, 24 * 20])
@pytest.mark.parametrize("rule", [HARD, SOFT, DIRECTORY])
def test_next_update_passed_does_not_un_revoke(judge, shelf, path, now, hours, rule):
    crls = shelf({"ends": now + HOUR, "revoked": [path[0].serial_number]})
    assert judge(crls, rule, at=now + hours * HOUR).reason_code == "certificate-revoked"


def test_an_expired_crl_does_not_shadow_the_current_one(judge, shelf, now):
    old = {"number": 3, "starts": now - 90 * HOUR, "ends": now - 60 * HOUR}
    assert judge(shelf([old, {"number": 4}])).ok
    assert judge(shelf([{"number": 4}, old])).ok


def test_revoked_then_dropped_from_crl(judge, shelf, path, now):
    # RFC 5280 3.3: an entry stays until the certificate has expired; only a hold may end.
    listed = {"number": 3, "starts": now - 2 * HOUR, "revoked": [path[0].serial_number]}
    assert not judge(shelf([listed, {"number": 4}])).ok
    hold = [(x509.CRLReason(x509.ReasonFlags.certificate_hold), False)]
    held = {**listed, "revoked": [(path[0].serial_number, hold)]}
    assert judge(shelf([held, {"number": 4}])).ok
    assert not judge(shelf([held, {"number": 2}])).ok


def test_future_this_update(judge, shelf, now):
    assert judge(shelf(), at=now - 2 * HOUR).reason_code == "crl-missing"


def test_a_crl_of_a_namesake_with_another_key(judge, shelf, forge, sign_crl, make_key, root, path):
    elsewhere = forge("Other Root", ca=True)
    namesake = forge(
        "Forged Intermediate", ca=True, issuer=elsewhere, key=make_key("p-256", "namesake")
    )
    crls = CrlShelf.of(
        [
            AcceptedCrl(
                crl=parse_crl(sign_crl(namesake)),
                signer=(namesake.certificate, elsewhere.certificate),
            ),
            *shelf(None).crls(parse_crl(sign_crl(root)).issuer),
        ]
    )
    assert judge(crls).reason_code == "crl-missing"


# --- scope --------------------------------------------------------------------------------------


def scoped(**given):
    usual = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return {"extensions": ((x509.IssuingDistributionPoint(**{**usual, **given}), True),)}


ELSEWHERE = x509.UniformResourceIdentifier("http://ca.example/other.crl")
SOME = frozenset({x509.ReasonFlags.key_compromise})


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"only_contains_user_certs": True}, None),
        ({"only_contains_ca_certs": True}, "crl-missing"),
        ({"only_contains_attribute_certs": True}, "crl-missing"),
        ({"only_some_reasons": SOME}, "crl-missing"),
        ({"full_name": [ELSEWHERE]}, "crl-missing"),
    ],
)
def test_idp_mismatch(judge, shelf, scope, code):
    assert judge(shelf(scoped(**scope))).reason_code == code


def test_a_crl_out_of_scope_revokes_nothing(judge, shelf, path):
    outside = {**scoped(only_contains_ca_certs=True), "revoked": [path[0].serial_number]}
    assert judge(shelf([outside, {}])).ok


def test_a_crl_of_some_reasons_revokes(judge, shelf, path):
    some = {**scoped(only_some_reasons=SOME), "revoked": [path[0].serial_number]}
    assert judge(shelf([some, {}])).reason_code == "certificate-revoked"


def test_a_certificate_of_a_distribution_point(forge, intermediate, root, sign_crl, now):
    uri = x509.UniformResourceIdentifier("http://ca.example/one.crl")
    points = x509.CRLDistributionPoints([x509.DistributionPoint([uri], None, None, None)])
    leaf = forge("leaf.example", issuer=intermediate, extensions=((points, False),))
    path = (leaf.certificate, intermediate.certificate)
    for name, code in ((uri, None), (ELSEWHERE, "crl-missing")):
        der = sign_crl(intermediate, **scoped(full_name=[name]))
        view = CrlShelf.of([AcceptedCrl(crl=parse_crl(der), signer=path[1:])])
        assert judge_revocation(path, view, rule=HARD, now=now).reason_code == code


# --- delta CRLs ---------------------------------------------------------------------------------


def test_delta_without_base(judge, shelf):
    assert judge(shelf({"base": 4, "number": 5})).reason_code == "crl-missing"


def test_a_delta_adds_to_its_base(judge, shelf, path):
    delta = {"number": 6, "base": 4, "revoked": [path[0].serial_number]}
    assert judge(shelf([{"number": 5}, delta])).reason_code == "certificate-revoked"


@pytest.mark.parametrize(("base", "number"), [(6, 7), (4, 5), (3, 4)])
def test_a_delta_that_does_not_fit_its_base(judge, shelf, path, base, number):
    delta = {"number": number, "base": base, "revoked": [path[0].serial_number]}
    assert judge(shelf([{"number": 5}, delta])).ok


def test_remove_from_crl(judge, shelf, path, now):
    serial = path[0].serial_number
    removed = (serial, [(x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)])
    hold = (serial, [(x509.CRLReason(x509.ReasonFlags.certificate_hold), False)])
    base = {"number": 5, "revoked": [hold], "ends": now + 9 * HOUR}
    delta = {"number": 6, "base": 5, "revoked": [removed], "ends": now + HOUR}
    assert judge(shelf([base, delta])).ok
    # Only a hold can be taken back.
    assert not judge(shelf([{**base, "revoked": [serial]}, delta])).ok
    # An old delta may have been overtaken: what the base lists stays revoked.
    assert not judge(shelf([base, delta]), at=now + 2 * HOUR).ok


# --- other sources ------------------------------------------------------------------------------


def answer(status, now, *, hours=1, responder=None):
    return OcspAnswer(
        status=status,
        sentence="",
        this_update=now - HOUR,
        next_update=now + hours * HOUR,
        responder=responder,
    )


def test_prefer_crl_then_ocsp(judge, shelf, path, now):
    answers = {fingerprint(path[0]): answer(OcspStatus.GOOD, now)}
    without = shelf(None)
    assert judge(without, OCSP).reason_code == "crl-missing"
    decision = judge(without, OCSP, answers=answers)
    assert decision.ok
    assert [s.source for s in decision.certificates] == [Source.OCSP, Source.CRL]
    assert judge(without, HARD, answers=answers).reason_code == "crl-missing"
    late = now + 3 * HOUR
    assert judge(without, OCSP, answers=answers, at=late).reason_code == "crl-missing"


@pytest.mark.parametrize("rule", [HARD, SOFT, OCSP, DIRECTORY])
def test_ocsp_revoked_counts_under_every_policy(judge, shelf, path, now, rule):
    answers = {fingerprint(path[0]): answer(OcspStatus.REVOKED, now)}
    decision = judge(shelf(None), rule, answers=answers)
    assert decision.reason_code == "certificate-revoked"


def test_a_good_crl_does_not_undo_what_ocsp_revoked(judge, shelf, path, now):
    answers = {fingerprint(path[0]): answer(OcspStatus.REVOKED, now)}
    assert judge(shelf(), OCSP, answers=answers).reason_code == "certificate-revoked"
    good = {fingerprint(path[0]): answer(OcspStatus.GOOD, now)}
    listed = shelf({"revoked": [path[0].serial_number]})
    assert judge(listed, OCSP, answers=good).reason_code == "certificate-revoked"


def test_ocsp_unknown_is_not_good(judge, shelf, path, now):
    answers = {fingerprint(path[0]): answer(OcspStatus.UNKNOWN, now)}
    assert not judge(shelf(None), OCSP, answers=answers).ok


def test_an_answer_of_a_revoked_responder_counts_for_nothing(
    judge, shelf, path, now, forge, intermediate
):
    responder = forge("ocsp.example", issuer=intermediate).certificate
    answers = {fingerprint(path[0]): answer(OcspStatus.GOOD, now, responder=responder)}
    expired = {"starts": now - 90 * HOUR, "ends": now - 60 * HOUR}
    assert judge(shelf(expired), OCSP, answers=answers).ok
    revoked = shelf({**expired, "revoked": [responder.serial_number]})
    assert judge(revoked, OCSP, answers=answers).reason_code == "crl-expired"


def test_short_lived_leaves_are_exempt_and_cas_never(forge, intermediate, root, judge, shelf, now):
    def decide(days, shelf, rule=SHORT):
        leaf = forge("s.example", issuer=intermediate, starts=now, ends=now + timedelta(days=days))
        path = (leaf.certificate, intermediate.certificate, root.certificate)
        return judge_revocation(path, shelf, rule=rule, now=now)

    assert decide(7, shelf(None)).ok
    assert decide(7, shelf(None)).certificates[0].state is State.EXEMPT
    assert decide(8, shelf(None)).reason_code == "crl-missing"
    assert decide(7, shelf(None, None)).reason_code == "crl-missing"


def test_directory_only_asks_for_no_crl(judge, shelf):
    decision = judge(shelf(None, None), DIRECTORY)
    assert decision.ok
    assert [s.state for s in decision.certificates] == [State.EXEMPT] * 2


def test_a_crl_key_of_its_own(forge, intermediate, root, sign_crl, make_key, path, shelf, now):
    usage = x509.KeyUsage(False, False, False, False, False, False, True, False, False)
    signer = forge(
        "Forged Intermediate",
        issuer=root,
        key=make_key("p-256", "own-crl-key"),
        names=(),
        purposes=(),
        extensions=((usage, True),),
    )
    own = AcceptedCrl(
        crl=parse_crl(sign_crl(signer)), signer=(signer.certificate, root.certificate)
    )

    def code(upper, **more):
        roots = shelf(None, upper).crls(parse_crl(sign_crl(root)).issuer)
        crls = CrlShelf.of([own, *roots])
        return judge_revocation(path, crls, rule=HARD, now=now, **more).reason_code

    assert code({}) is None
    # A CRL key that is itself revoked, by CRL or by the network list, says nothing.
    assert code({"revoked": [signer.certificate.serial_number]}) == "crl-missing"
    assert code({}, denied=frozenset({spki_sha256(signer.key)})) == "crl-missing"


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("rule", [HARD, SOFT, DIRECTORY])
def test_the_deny_list_wins(judge, shelf, path, rule, depth):
    decision = judge(shelf(), rule, denied=frozenset({spki_sha256(path[depth])}))
    assert decision.reason_code == "certificate-revoked"
    assert [s.source for s in decision.certificates] == [Source.DIRECTORY]
