"""SHA-1 in signatures: refused, save of the one peer whose profile says otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from soap_world import their_facts

from node.responding import _security_policy
from node.settings import ListenSection, NodeSection, Settings


@pytest.fixture
def policy():
    node = NodeSection(
        name="Us",
        home_community_id="urn:oid:2.999.1",
        organization_id="2.999.1",
        assigning_authority="2.999.1.1",
        repository_unique_id="2.999.1.2",
    )
    listen = ListenSection(public_url="https://us.example")
    return _security_policy(Settings(node=node, listen=listen))


@pytest.mark.parametrize(
    ("quirks", "allowed"),
    [
        ({}, False),
        ({"accept_sha1_signatures": False}, False),
        ({"accept_sha1_signatures": "true"}, False),
        ({"accept_sha1_signatures": 1}, False),
        ({"accept_sha1_signatures": True}, True),
    ],
)
def test_the_exception_is_one_peers_and_off(policy, them, quirks, allowed):
    entry = replace(their_facts(them).entries["them"], quirks=quirks)
    bent = policy(entry)
    assert bent.signature.allow_sha1 is allowed
    assert policy(None).signature.allow_sha1 is False
    # Nothing else is bent with it: neither key sizes nor the rules for what is asserted.
    assert bent.signature.min_rsa_bits == policy(None).signature.min_rsa_bits
    assert bent.assertion == policy(None).assertion
    assert bent.require_signed_timestamp
