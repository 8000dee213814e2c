"""The rest of NIST's assertion matrix over the running gateway: under good signatures (17.1)."""

from __future__ import annotations

import dataclasses

import pytest
from soap_world import running
from test_soap_faults import post, refused, signed

from node.peers import assertion
from trust import saml_issue
from trust.saml_claims import AuthnStatement, AuthzDecision, CodedClaim

PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
X509 = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"


def at(world, **more) -> AuthnStatement:
    return AuthnStatement(instant=world.clock.now(), **{"context_classes": (X509,)} | more)


def changed(world, claims, variant: str):
    """The claims of a variant."""
    role, purpose = claims.roles[0], claims.purposes[0]
    variants = {
        "invalidauthnstatement": lambda: {
            "authn": (AuthnStatement(instant=None, context_classes=(X509,)),)
        },
        "secondauthncontext": lambda: {
            "authn": (at(world), at(world, context_classes=(PASSWORD,)))
        },
        "secondrole": lambda: {
            "roles": (role, CodedClaim(code="other", system=role.system, display="Other"))
        },
        "secondpurposeofuse": lambda: {
            "purposes": (purpose, dataclasses.replace(purpose, code="T-PYMNT", display=None))
        },
        "withauthzconsent": lambda: {
            "authn": (at(world),),
            "authz": (
                AuthzDecision(
                    decision="Permit",
                    resource="urn:oid:2.999.7",
                    access_consent_policies=("urn:oid:2.999.7.1",),
                ),
            ),
        },
    }
    return dataclasses.replace(claims, **variants[variant]())


@pytest.fixture
def unchecked(monkeypatch):
    """A sender who asserts anything."""
    monkeypatch.setattr(saml_issue, "check_claims", lambda *_args, **_more: ())
    plain = assertion.claims_of

    def use(world, variant: str) -> None:
        monkeypatch.setattr(
            assertion, "claims_of", lambda *a, **m: changed(world, plain(*a, **m), variant)
        )

    return use


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("invalidauthnstatement", "assertion-authn"),
        ("secondauthncontext", "assertion-second-authn"),
        ("secondrole", "assertion-second-role"),
        ("secondpurposeofuse", "assertion-second-purpose"),
    ],
)
async def test_what_the_matrix_forbids_is_a_fault(us, them, unchecked, variant, reason):
    async with running(us, them) as world:
        unchecked(world, variant)
        await refused(world, signed(world))
    assert world.responding.reasons == [reason]


async def test_an_authorisation_statement_with_consent_is_accepted(us, them, unchecked):
    async with running(us, them) as world:
        unchecked(world, "withauthzconsent")
        answer, body = await post(world, signed(world))
    assert answer.status == 200
    assert b":Success" in body
