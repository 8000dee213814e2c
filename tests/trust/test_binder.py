from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

import trust.binder as binder_module
from tests.anchors import anchor_of
from trust.binder import MAX_AGE, Binder
from trust.binding import OrganizationTrust, PresentedKeys, bind
from trust.keys import spki_sha256

TRUST = OrganizationTrust(organization_id="org-1", host_names=frozenset({"a.example"}))


@pytest.fixture
def judged(monkeypatch):
    """Counts how often a binding was really judged."""
    calls = []

    def counted(*args, **kwargs):
        calls.append(kwargs["now"])
        return bind(*args, **kwargs)

    monkeypatch.setattr(binder_module, "bind", counted)
    return calls


@pytest.fixture
def binder(dev_ca):
    return Binder((anchor_of(dev_ca.certificate),), allow_unpinned=True)


@pytest.fixture
def presented(issue):
    one = issue("a.example")
    return PresentedKeys(
        tls_leaf=one.certificate,
        saml_signer=one.certificate,
        holder_of_key=one.key.public_key(),
    )


def test_the_same_keys_are_judged_once(binder, presented, judged, now):
    first = binder.bind(presented, TRUST, now=now)
    assert first.ok
    assert binder.bind(presented, TRUST, now=now + timedelta(seconds=1)) == first
    assert len(judged) == 1


def test_a_verdict_ends_with_its_age_or_when_the_clock_is_set_back(binder, presented, judged, now):
    for moment in (now, now + MAX_AGE, now + MAX_AGE - timedelta(seconds=1)):
        assert binder.bind(presented, TRUST, now=moment).ok
    assert len(judged) == 3


def test_a_verdict_ends_with_the_certificate(binder, issue, now, judged):
    short = issue("a.example", lifetime=timedelta(seconds=30))
    presented = PresentedKeys(tls_leaf=short.certificate)
    assert binder.bind(presented, TRUST, now=now).valid_until == now + timedelta(seconds=30)
    assert binder.bind(presented, TRUST, now=now + timedelta(seconds=30)).ok
    late = binder.bind(presented, TRUST, now=now + timedelta(seconds=31))
    assert late.reason_code == "certificate-expired"


def test_pin_removed_while_connection_open(binder, presented, judged, now):
    pinned = replace(TRUST, pins=frozenset({spki_sha256(presented.tls_leaf)}))
    assert binder.bind(presented, pinned, now=now).method == "pinned"
    other = replace(TRUST, pins=frozenset({"0" * 64}))
    assert binder.bind(presented, other, now=now).reason_code == "tls-key-not-bound"
    assert len(judged) == 2


def test_another_key_is_another_question(binder, presented, issue, judged, now):
    assert binder.bind(presented, TRUST, now=now).ok
    stranger = replace(presented, holder_of_key=issue("b.example").key.public_key())
    assert binder.bind(stranger, TRUST, now=now).reason_code == "holder-of-key-not-bound"


def test_refusals_are_not_remembered(binder, presented, judged, now):
    trust = replace(TRUST, host_names=frozenset({"b.example"}))
    for _ in range(2):
        assert not binder.bind(presented, trust, now=now).ok
    assert len(judged) == 2


def test_memory_is_bounded_and_keeps_the_recent(binder, presented, judged, now, monkeypatch):
    monkeypatch.setattr(binder_module, "MAX_REMEMBERED", 2)
    one, two, three = (replace(TRUST, organization_id=f"org-{i}") for i in range(3))
    for trust in (one, two, one, three, one):
        assert binder.bind(presented, trust, now=now).ok
    assert len(judged) == 3
    assert binder.bind(presented, two, now=now).ok
    assert len(judged) == 4


def test_a_verdict_ends_when_its_anchor_is_gone(binder, presented, dev_ca, judged, now):
    """Remembered or not, pinned or not."""
    pinned = replace(TRUST, pins=frozenset({spki_sha256(presented.tls_leaf)}))
    for trust in (TRUST, pinned):
        binder.use((anchor_of(dev_ca.certificate),))
        assert binder.bind(presented, trust, now=now).ok
        binder.use(())
        assert binder.bind(presented, trust, now=now).reason_code == "chain-incomplete"
    binder.use((anchor_of(dev_ca.certificate),))
    assert binder.bind(presented, TRUST, now=now).ok
