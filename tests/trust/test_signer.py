from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from trust.errors import TrustError
from trust.keys import spki_sha256
from trust.signer import KeySigner, SignatureAlgorithm, Signer


def test_rsa_signs_pkcs1_v15_with_sha256(issue):
    signer: Signer = issue("rsa.example", kind="rsa-2048").signer
    assert signer.algorithm is SignatureAlgorithm.RSA_SHA256
    signature = signer.sign(b"data")
    assert len(signature) == 256
    signer.public_key.verify(signature, b"data", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(("kind", "width"), [("p-256", 32), ("p-384", 48)])
def test_ecdsa_signs_fixed_width_r_and_s(issue, kind, width):
    signer: Signer = issue("ec.example", kind=kind).signer
    assert signer.algorithm is SignatureAlgorithm.ECDSA_SHA256
    for _ in range(20):
        signature = signer.sign(b"data")
        assert len(signature) == 2 * width
        r, s = (int.from_bytes(part, "big") for part in (signature[:width], signature[width:]))
        signer.public_key.verify(encode_dss_signature(r, s), b"data", ec.ECDSA(hashes.SHA256()))


def test_a_signer_needs_the_certificate_of_its_own_key(issue, make_key):
    certificate = issue("node.example").certificate
    with pytest.raises(TrustError) as caught:
        KeySigner(key=make_key("p-256", "stranger"), certificate=certificate)
    assert caught.value.code == "key-mismatch"


def test_a_signer_is_named_by_its_key_and_hides_it(issue):
    identity = issue("node.example")
    assert identity.signer.key_id == spki_sha256(identity.certificate)
    assert "PrivateKey" not in repr(identity.signer)
