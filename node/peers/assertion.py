"""Our Security header: a newly signed assertion for every attempt (facts: ihe-wire 8.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from node.exchange.ports import Call
from node.model import Principal
from node.wire.xml import serialize
from trust.saml_check import AssertionPolicy
from trust.saml_claims import CodedClaim, XuaClaims, saml_table
from trust.signer import Signer
from trust.wssecurity import build_security
from trust.xml_names import DS

_ORGANIZATION = "Organization/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeader:
    """A Security header as octets, the id of its assertion, and its endorsing signature."""

    octets: bytes
    assertion_id: str
    issuer: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionIssuer:
    """Signs assertions in this node's name.

    Attributes:
        signer: signs the assertion; its certificate's subject is the issuer unless one is given.
        holder: the holder-of-key key that signs the Timestamp; the signer itself when ``None``.
        issuer: the Issuer's value, in the form of an X.509 subject name.
        lifetime: of one assertion; the profile's is 5 minutes.
        name_audience: whether the assertion is restricted to the address that is asked.
        policy: rules for our own claims; the strict ones when ``None``.
    """

    signer: Signer
    holder: Signer | None = None
    issuer: str | None = None
    lifetime: timedelta = timedelta(minutes=5)
    name_audience: bool = True
    policy: AssertionPolicy | None = None

    def sign(
        self, call: Call, *, audience: str, ids: tuple[str, str], now: datetime
    ) -> SignedHeader:
        """A header for one attempt; two signatures, a millisecond or two with RSA keys.

        Args:
            call: the attempt.
            audience: address of the endpoint.
            ids: two fresh ids, for the assertion and the Timestamp.
            now: the time of issue.

        Raises:
            TrustError: ``claims-incomplete``.
        """
        assertion_id, timestamp_id = f"_{ids[0]}", f"TS-{ids[1]}"
        issuer = self.issuer or self.signer.certificate.subject.rfc4514_string()
        header = build_security(
            claims_of(call, issuer=issuer),
            signer=self.signer,
            now=now,
            audience=audience if self.name_audience else None,
            assertion_id=assertion_id,
            timestamp_id=timestamp_id,
            lifetime=self.lifetime,
            holder=self.holder,
            policy=self.policy,
        )
        value = header.findtext(f"{{{DS}}}Signature/{{{DS}}}SignatureValue") or ""
        return SignedHeader(
            octets=serialize(header),
            assertion_id=assertion_id,
            issuer=issuer,
            signature="".join(value.split()),
        )


def claims_of(call: Call, *, issuer: str) -> XuaClaims:
    """What we assert for one attempt (QTF-502, 504, 604)."""
    principal = call.principal
    formats = saml_table()["name_id_format"]
    return XuaClaims(
        subject_id=principal.subject_id,
        organization=principal.organization,
        organization_id=_ORGANIZATION + principal.organization_id,
        home_community_id=principal.home_community_id,
        roles=(
            CodedClaim(
                code=principal.role.code,
                system=principal.role.scheme,
                display=principal.role.display,
            ),
        ),
        purposes=(
            CodedClaim(
                code=principal.purpose.code,
                system=principal.purpose.scheme,
                display=principal.purpose.display,
            ),
        ),
        resource_id=call.patient_id.cx if call.patient_id else None,
        npi=principal.npi,
        id_token=principal.id_token,
        issuer=issuer,
        issuer_format=formats["x509"],
        name_id=_name_id(principal),
        name_id_format=formats["email" if "@" in principal.user_id else "x509"],
    )


def _name_id(principal: Principal) -> str:
    """The user's id as mail address or as X.509 subject name, the two forms peers accept (8.2)."""
    user = principal.user_id
    if "@" in user or "=" in user:
        return user
    escaped = "".join(f"\\{c}" if c in ',+"\\<>;=#' else c for c in user)
    return f"UID={escaped}"
