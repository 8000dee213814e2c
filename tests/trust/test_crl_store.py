"""The folder of last good CRLs (facts pki A6 rules 3 and 4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from trust.crl import parse_crl
from trust.crl_signer import find_signer
from trust.crl_store import CrlShelf, keep_crl, load_crls
from trust.distinguished_names import comparable
from trust.errors import TrustError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "crls"


@pytest.fixture
def keep(folder, root, now):
    return lambda der: keep_crl(folder, parse_crl(der), (root.certificate,), now=now)


@pytest.fixture
def load(folder, root, now):
    return lambda: load_crls(folder, [root.certificate], now=now)


def numbers(report, issuer):
    return [each.crl.number for each in report.shelf.crls(comparable(issuer.certificate.subject))]


def test_what_is_kept_is_loaded_again(keep, load, sign_crl, root, folder):
    assert load().shelf.crls(comparable(root.certificate.subject)) == ()
    assert keep(sign_crl(root, revoked=[7], number=5))
    report = load()
    assert report.faults == ()
    assert numbers(report, root) == [5]
    assert len(report.shelf) == 1
    assert len(list(folder.iterdir())) == 1


def test_the_same_again_is_not_written(keep, sign_crl, root):
    der = sign_crl(root)
    assert keep(der)
    assert not keep(der)


def test_a_newer_one_replaces_the_older(keep, load, sign_crl, root, now):
    keep(sign_crl(root, number=5))
    assert keep(sign_crl(root, number=6, starts=now - timedelta(minutes=1)))
    assert numbers(load(), root) == [6]


def test_what_a_newer_one_drops_is_remembered(keep, load, sign_crl, root, now):
    hold = [(x509.CRLReason(x509.ReasonFlags.certificate_hold), False)]
    keep(sign_crl(root, number=1, revoked=[7, 8, (9, hold)]))
    keep(sign_crl(root, number=2, revoked=[8], starts=now - timedelta(minutes=9)))
    keep(sign_crl(root, number=3, revoked=[10], starts=now - timedelta(minutes=8)))
    (accepted,) = load().shelf.crls(comparable(root.certificate.subject))
    assert sorted(accepted.dropped) == [7, 8]
    keep(sign_crl(root, number=4, revoked=[7, 8, 10], starts=now - timedelta(minutes=7)))
    (accepted,) = load().shelf.crls(comparable(root.certificate.subject))
    assert accepted.dropped == {}


def test_what_was_dropped_long_ago_is_forgotten(folder, sign_crl, root, now):
    path = (root.certificate,)
    keep_crl(folder, parse_crl(sign_crl(root, number=1, revoked=[7])), path, now=now)
    late = now + timedelta(days=1201)
    keep_crl(folder, parse_crl(sign_crl(root, number=2, starts=now)), path, now=late)
    (accepted,) = load_crls(folder, path, now=late).shelf.crls(comparable(path[0].subject))
    assert accepted.dropped == {}


@pytest.mark.parametrize("flaw", ["rollback", "future", "signature"])
def test_a_bad_one_never_replaces_a_good_one(keep, load, sign_crl, root, now, flaw):
    keep(sign_crl(root, number=5))
    bad = {
        "rollback": sign_crl(root, number=4, starts=now - timedelta(minutes=1)),
        "future": sign_crl(root, number=6, starts=now + timedelta(hours=1)),
        "signature": sign_crl(root, number=6)[:-1] + b"\x00",
    }[flaw]
    with pytest.raises(TrustError) as caught:
        keep(bad)
    assert caught.value.code in {"crl-rollback", "crl-future", "crl-signature-invalid"}
    assert numbers(load(), root) == [5]


def test_scopes_and_deltas_stand_beside_each_other(keep, load, sign_crl, root):
    user, ca = (
        x509.IssuingDistributionPoint(None, None, only_user, not only_user, None, False, False)
        for only_user in (True, False)
    )
    keep(sign_crl(root, number=5))
    keep(sign_crl(root, number=3, extensions=((user, True),)))
    keep(sign_crl(root, number=2, extensions=((ca, True),)))
    keep(sign_crl(root, number=6, base=5))
    assert sorted(numbers(load(), root)) == [2, 3, 5, 6]


def test_an_expired_one_is_not_deleted(keep, load, sign_crl, root, now):
    keep(sign_crl(root, starts=now - timedelta(days=9), ends=now - timedelta(days=8)))
    assert numbers(load(), root) == [1]


def test_a_damaged_file_is_a_fault_and_not_an_end(keep, load, sign_crl, root, folder):
    keep(sign_crl(root, number=5))
    damaged = folder / ("0" * 64 + ".pem")
    damaged.write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    report = load()
    assert numbers(report, root) == [5]
    assert [fault.code for fault in report.faults] == ["crl-store-invalid"]


def test_a_file_under_another_name_is_a_fault(keep, load, sign_crl, root, folder):
    keep(sign_crl(root))
    (only,) = folder.iterdir()
    only.rename(folder / ("0" * 64 + ".pem"))
    assert [fault.code for fault in load().faults] == ["crl-store-invalid"]


def test_a_crl_of_an_anchor_that_is_gone_is_not_used(keep, folder, sign_crl, root, forge, now):
    keep(sign_crl(root))
    other = forge("Other Root", ca=True)
    report = load_crls(folder, [other.certificate], now=now)
    assert len(report.shelf) == 0
    assert len(report.faults) == 1


def test_the_signer_of_an_intermediate_crl_is_kept_with_its_path(
    folder, sign_crl, root, intermediate, forge, now
):
    leaf = forge("leaf.example", issuer=intermediate)
    path = (leaf.certificate, intermediate.certificate, root.certificate)
    crl = parse_crl(sign_crl(intermediate))
    signer = find_signer(crl, path, now=now)
    assert signer == path[1:]
    keep_crl(folder, crl, signer, now=now)
    (accepted,) = load_crls(folder, [root.certificate], now=now).shelf.crls(crl.issuer)
    assert accepted.signer == path[1:]


def test_a_key_of_its_own_for_crls_must_chain_to_the_same_anchor(
    sign_crl, root, intermediate, forge, make_key, now
):
    leaf = forge("leaf.example", issuer=intermediate)
    path = (leaf.certificate, intermediate.certificate, root.certificate)
    usage = x509.KeyUsage(False, False, False, False, False, False, True, False, False)

    def crl_key(issuer, *, extensions=((usage, True),)):
        return forge(
            "Forged Intermediate",
            issuer=issuer,
            key=make_key("p-256", "crl-key"),
            names=(),
            purposes=(),
            extensions=extensions,
        )

    good = crl_key(root)
    crl = parse_crl(sign_crl(good))
    assert find_signer(crl, path, [good.certificate], now=now) == (
        good.certificate,
        root.certificate,
    )
    strange = crl_key(forge("Other Root", ca=True))
    mute = crl_key(root, extensions=())
    for signer in (strange, mute):
        with pytest.raises(TrustError) as caught:
            find_signer(crl, path, [signer.certificate], now=now)
        assert caught.value.code == "crl-issuer-mismatch"


def test_an_empty_shelf_knows_nothing(root):
    assert CrlShelf.of([]).crls(comparable(root.certificate.subject)) == ()
