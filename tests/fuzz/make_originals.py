"""Makes ``originals/``: ``python -m tests.fuzz.make_originals``. The keys are thrown away at once.

To be run again only when the profile changes: the kept corpus is made of these documents.
"""

from __future__ import annotations

from datetime import timedelta

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from lxml import etree

from tests.fuzz.target import NOW, ORIGINALS
from trust.ca import CertificateAuthority, Profile, create_ca, issue
from trust.csr import RequestedNames, build_csr, csr_pem
from trust.keys import KeyKind, PrivateKey, generate_key
from trust.saml_claims import AuthzDecision, CodedClaim, XuaClaims, saml_table
from trust.signer import KeySigner
from trust.wssecurity import build_security
from trust.xml import parse, serialize
from trust.xml_names import DS, EXC_C14N, SOAP12
from trust.xmldsig import sign_detached, sign_enveloped

AUDIENCE = "https://node.example/xca"
BODY = (
    '<r xmlns="u:r" xmlns:w="u:w"><h k="1"/><a ID="_i" xmlns:x="u:x"><x:b c="1">t\u00e9</x:b>'
    "<?p i?>z &amp;</a></r>"
).encode()


def main() -> None:
    """Make all of them anew."""
    ORIGINALS.mkdir(exist_ok=True)
    ca = create_ca("Fuzz Root", now=NOW - timedelta(days=1), key=generate_key(KeyKind.P_256))
    signers = {kind: _signer(ca, kind) for kind in ("p-256", "p-384", "rsa-2048")}
    _signatures(signers)
    _headers(signers)
    _certificates(ca)


def _write(name: str, data: bytes) -> None:
    (ORIGINALS / name).write_bytes(data)


def _names(host: str) -> RequestedNames:
    return RequestedNames(
        common_name=host,
        organization="Fuzz Clinic",
        dns_names=(host,),
        uris=(f"https://{host}/",),
        ip_addresses=("192.0.2.1",),
    )


def _issue(ca: CertificateAuthority, key: PrivateKey, host: str) -> x509.Certificate:
    request = build_csr(key, _names(host), usages=Profile.TLS.usages)
    return issue(
        ca, request, profile=Profile.TLS, now=NOW - timedelta(hours=1), lifetime=timedelta(days=30)
    )


def _signer(ca: CertificateAuthority, kind: str) -> KeySigner:
    key = generate_key(KeyKind(kind))
    return KeySigner(key=key, certificate=_issue(ca, key, f"{kind}.example"))


def _signatures(signers: dict[str, KeySigner]) -> None:
    for kind in ("p-256", "rsa-2048"):
        root = parse(BODY)
        sign_enveloped(root[1], signer=signers[kind], position=0)
        _write(f"signature-enveloped-{kind}.xml", serialize(root))
    root = parse(BODY)
    root.append(sign_detached(root[1], signer=signers["p-384"], id_attribute="ID"))
    _write("signature-detached-p-384.xml", serialize(root))
    strong, weak = xmlsec.Transform.RSA_SHA256, xmlsec.Transform.RSA_SHA1
    signer = signers["rsa-2048"]
    _write("signature-prefixes.xml", _by_libxmlsec(signer, strong, xmlsec.Transform.SHA256, "w x"))
    _write("signature-sha1.xml", _by_libxmlsec(signer, weak, xmlsec.Transform.SHA1, ""))
    strongest = xmlsec.Transform.RSA_SHA512
    _write("signature-sha512.xml", _by_libxmlsec(signer, strongest, xmlsec.Transform.SHA512, ""))


def _by_libxmlsec(signer: KeySigner, method: object, digest: object, prefixes: str) -> bytes:
    root = etree.fromstring(BODY)
    signature = xmlsec.template.create(root, xmlsec.Transform.EXCL_C14N, method, ns="ds")
    root[1].insert(0, signature)
    reference = xmlsec.template.add_reference(signature, digest, uri="#_i")
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    step = xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    if prefixes:
        etree.SubElement(step, f"{{{EXC_C14N}}}InclusiveNamespaces", PrefixList=prefixes)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    context = xmlsec.SignatureContext()
    pem = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context.key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM)
    context.key.load_cert_from_memory(
        signer.certificate.public_bytes(Encoding.PEM), xmlsec.KeyFormat.CERT_PEM
    )
    context.register_id(root[1], "ID")
    context.sign(signature)
    return etree.tostring(root)


def _claims() -> XuaClaims:
    email = str(saml_table()["name_id_format"]["email"])
    return XuaClaims(
        subject_id="Dr Ada Jones",
        organization="Example Hospital",
        organization_id="Organization/abc",
        home_community_id="urn:oid:2.999.21",
        roles=(CodedClaim(code="1", system="2.16.840.1.113883.6.96", system_name="SNOMED_CT"),),
        purposes=(CodedClaim(code="P-ONE", system="1.2.3"),),
        resource_id="7^^^&2.999.21.1&ISO",
        issuer="saml@node.example",
        issuer_format=email,
        name_id="ada@node.example",
        name_id_format=email,
        authz=(
            AuthzDecision(decision="Permit", resource=AUDIENCE, access_consent_policies=("u:1",)),
        ),
    )


def _headers(signers: dict[str, KeySigner]) -> None:
    p256, p384, rsa = signers["p-256"], signers["p-384"], signers["rsa-2048"]
    _write("security-p-256.xml", _message(p256, p256))
    _write("security-two-keys.xml", _message(p384, p256))
    _write("security-rsa-2048.xml", _message(rsa, rsa))
    bare = parse(_message(p256, p256, number=2))
    signature = bare.find(f".//{{{DS}}}Signature")
    signature.remove(signature[2])
    _write("security-without-key-info.xml", serialize(bare))


def _message(signer: KeySigner, holder: KeySigner, number: int = 1) -> bytes:
    envelope = parse(
        f'<s:Envelope xmlns:s="{SOAP12}"><s:Header/><s:Body><q xmlns="u:q"/></s:Body>'
        "</s:Envelope>".encode()
    )
    header = build_security(
        _claims(),
        signer=signer,
        holder=holder,
        now=NOW,
        audience=AUDIENCE,
        assertion_id=f"_a{number}",
        timestamp_id=f"_t{number}",
    )
    envelope[0].append(header)
    return serialize(envelope)


def _certificates(ca: CertificateAuthority) -> None:
    key = generate_key(KeyKind.P_256)
    leaf = _issue(ca, key, "leaf.example")
    _write("root.pem", ca.certificate.public_bytes(Encoding.PEM))
    _write("bundle.pem", b"".join(c.public_bytes(Encoding.PEM) for c in (leaf, ca.certificate)))
    _write("leaf.der", leaf.public_bytes(Encoding.DER))
    for kind in ("p-256", "rsa-2048"):
        own = generate_key(KeyKind(kind))
        request = build_csr(own, _names(f"{kind}.example"), usages=Profile.TLS.usages)
        _write(f"request-{kind}.pem", csr_pem(request))
    for base in (None, 1):
        _write(f"crl-{'delta' if base else 'full'}.der", _crl(ca, leaf, base))
    for status in (ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED):
        _write(f"ocsp-{status.name.lower()}.der", _answer(ca, leaf, status))


def _crl(ca: CertificateAuthority, leaf: x509.Certificate, base: int | None) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(days=1))
        .add_extension(x509.CRLNumber(7), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
        .add_extension(
            x509.IssuingDistributionPoint(
                full_name=[x509.UniformResourceIdentifier("http://crl.example/1.crl")],
                relative_name=None,
                only_contains_user_certs=True,
                only_contains_ca_certs=False,
                only_some_reasons=None,
                indirect_crl=False,
                only_contains_attribute_certs=False,
            ),
            critical=True,
        )
    )
    if base is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
    for serial in (leaf.serial_number, 4711):
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(NOW - timedelta(hours=2))
            .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _answer(ca: CertificateAuthority, leaf: x509.Certificate, status: ocsp.OCSPCertStatus) -> bytes:
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=ca.certificate,
            algorithm=hashes.SHA256(),
            cert_status=status,
            this_update=NOW - timedelta(hours=1),
            next_update=NOW + timedelta(hours=1),
            revocation_time=NOW - timedelta(hours=2) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate)
    )
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.DER)


if __name__ == "__main__":
    main()
