"""Our path validation against OpenSSL's, over chains made with every kind of defect by chance.

Where both know the rule they must agree; each is thereby the oracle of the other. OpenSSL's strict
rules are off: those are floors (``trust.certificate_rules``), not the standard's algorithm.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from trust.path import path_refusal
from trust.second_opinion import openssl_refusal

DAY = timedelta(days=1)
HOSTS = ["clinic.example", "a.clinic.example", "other.example"]
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.3"), b"\x05\x00")

LEVEL = st.fixed_dictionaries(
    {
        "ca": st.sampled_from([True] * 20 + [False]),
        "path_length": st.sampled_from([None] * 8 + [0, 1, 2]),
        "signs": st.sampled_from([True] * 20 + [False]),
        "late": st.sampled_from([False] * 20 + [True]),
        "unknown": st.sampled_from([None] * 20 + [False, True]),
        "permitted": st.sampled_from([None] * 20 + HOSTS),
        "excluded": st.sampled_from([None] * 20 + HOSTS),
        "self_issued": st.booleans(),
    }
)


def extensions(level):
    usage = x509.KeyUsage(True, False, False, False, False, level["signs"], True, False, False)
    found = [(usage, True)] if level["ca"] else []
    if level["unknown"] is not None:
        found.append((UNKNOWN, level["unknown"]))
    if level["permitted"] or level["excluded"]:
        permitted, excluded = (
            [x509.DNSName(level[side])] if level[side] else None
            for side in ("permitted", "excluded")
        )
        found.append((x509.NameConstraints(permitted, excluded), True))
    return tuple(found)


@pytest.fixture
def build(forge, root, make_key, now):
    """A path: leaf first, then intermediates of these levels, then the root."""

    def build(levels, host, *, broken):
        path, issuer = [root.certificate], root
        for index, level in enumerate(levels):
            same = level["self_issued"] and index > 0
            issuer = forge(
                issuer.certificate.subject.rdns[0].rfc4514_string()[3:] if same else f"CA {index}",
                issuer=issuer,
                ca=level["ca"],
                key=make_key("p-256", f"differential-{index}"),
                path_length=level["path_length"] if level["ca"] else None,
                ends=now - DAY / 2 if level["late"] else None,
                extensions=extensions(level),
            )
            path.insert(0, issuer.certificate)
        if broken:
            issuer = forge("CA X", ca=True, key=make_key("p-256", "differential-stranger"))
        names = (x509.DNSName(host),)
        path.insert(0, forge("leaf", issuer=issuer, names=names).certificate)
        return path

    return build


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    levels=st.lists(LEVEL, max_size=4),
    host=st.sampled_from(HOSTS),
    broken=st.sampled_from([False] * 9 + [True]),
)
def test_both_agree(build, now, levels, host, broken):
    path = build(levels, host, broken=broken)
    ours = path_refusal(path, now=now)
    theirs = openssl_refusal(path, now=now, strict=False)
    event("accepted" if ours is None else "refused")
    assert (ours is None) == (theirs is None), (ours, theirs)
