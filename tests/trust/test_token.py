"""Keys in a PKCS#11 token: what they sign verifies, and a signature costs one call."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trust.ca import Profile, issue
from trust.csr import RequestedNames, build_csr, check_csr
from trust.errors import TrustError
from trust.keys import KeyKind, spki_sha256
from trust.rehearsal import rehearse_signer
from trust.signer import KeySigner
from trust.token import KeyReference, Token, parse_reference
from trust.token_keys import token_key
from trust.usages import Usage


def opened(softhsm, **more) -> Token:
    return Token(softhsm.module, more.pop("label", softhsm.label),
                 more.pop("pin", lambda: softhsm.pin), **more)  # fmt: skip


@pytest.fixture(scope="module")
def token(softhsm):
    token = opened(softhsm)
    token.generate("rsa", KeyKind.RSA_2048)
    token.generate("ec", KeyKind.P_256)
    token.generate("ec-384", KeyKind.P_384)
    yield token
    token.close()


@pytest.mark.parametrize("label", ["rsa", "ec", "ec-384"])
def test_what_it_signs_verifies_by_its_public_key(token, label):
    key = token_key(token, label)
    names = RequestedNames(common_name="Lake", dns_names=("lake.example",))
    request = build_csr(key, names, usages=(Usage.SAML_SIGNER,))
    check_csr(request)
    assert spki_sha256(request.public_key()) == spki_sha256(key)
    if label == "rsa":
        signature = key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, b"data", padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = key.sign(b"data", ec.ECDSA(hashes.SHA256()))
        key.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("label", ["rsa", "ec"])
def test_it_stands_behind_the_signer_protocol(token, label, dev_ca, now):
    key = token_key(token, label)
    names = RequestedNames(common_name="Lake", dns_names=("lake.example",))
    request = build_csr(key, names, usages=(Usage.SAML_SIGNER,))
    leaf = issue(dev_ca, request, profile=Profile.SAML_SIGNING, now=now)
    assert rehearse_signer(KeySigner(key=key, certificate=leaf)) is None


def test_the_private_half_stays_in_the_token(token):
    for label in ("rsa", "ec"):
        key = token_key(token, label)
        assert copy.deepcopy(key) is key
        for take in (
            key.private_numbers,
            lambda key=key: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ):
            with pytest.raises(TrustError) as refused:
                take()
            assert refused.value.code == "token-key-stays"
    with pytest.raises(TrustError) as refused:
        token_key(token, "rsa").sign(b"x", padding.PKCS1v15(), hashes.SHA1())
    assert refused.value.code == "token-key-use"


class Counted(Token):
    """Counts how often it logs in and opens a session."""

    sessions_opened = 0

    def _logged_in(self, token, *, writing):
        self.sessions_opened += 1
        return super()._logged_in(token, writing=writing)


def test_many_signatures_of_many_threads_share_one_login(softhsm, token):
    counted = Counted(softhsm.module, softhsm.label, lambda: softhsm.pin)
    key = token_key(counted, "ec")

    def sign(number: int) -> None:
        data = str(number).encode()
        signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
        key.public_key().verify(signature, data, ec.ECDSA(hashes.SHA256()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sign, range(200)))
    assert counted.sessions_opened == 1


def test_a_lost_session_is_opened_again(softhsm, token):
    counted = Counted(softhsm.module, softhsm.label, lambda: softhsm.pin)
    key = token_key(counted, "ec")
    key.sign(b"x", ec.ECDSA(hashes.SHA256()))
    counted._kept.session.close()
    signature = key.sign(b"x", ec.ECDSA(hashes.SHA256()))
    key.public_key().verify(signature, b"x", ec.ECDSA(hashes.SHA256()))
    assert counted.sessions_opened == 2


def test_a_refused_pin_is_never_tried_twice(softhsm, token):
    token.close()  # SoftHSM does not look at the PIN while the process is logged in
    tried = []

    def pin() -> str:
        tried.append(1)
        return "000000"

    wrong = opened(softhsm, pin=pin)
    for _ in range(5):
        with pytest.raises(TrustError) as refused:
            token_key(wrong, "ec")
        assert refused.value.code == "token-pin-refused"
        assert "000000" not in repr(refused.value) + str(refused.value)
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("more", "label", "code"),
    [
        ({}, "none", "token-key-missing"),
        ({"label": "no such token"}, "ec", "token-missing"),
        ({"pin": lambda: None}, "ec", "token-pin-missing"),
    ],
    ids=["key", "token", "pin"],
)
def test_what_is_not_there_is_named(softhsm, token, more, label, code):
    with pytest.raises(TrustError) as refused:
        token_key(opened(softhsm, **more), label)
    assert refused.value.code == code


def test_a_library_that_cannot_be_loaded(tmp_path):
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"no library")
    with pytest.raises(TrustError) as refused:
        token_key(Token(str(broken), "x", lambda: "1"), "ec")
    assert refused.value.code == "token-module-unusable"


def test_a_label_is_given_once(token):
    with pytest.raises(TrustError) as refused:
        token.generate("ec", KeyKind.P_256)
    assert refused.value.code == "token-key-exists"
    with pytest.raises(TrustError) as refused:
        token.generate("x" * 65, KeyKind.P_256)
    assert refused.value.code == "token-key-label"


def test_references_are_read_as_they_are_written():
    reference = KeyReference(token="a token; of ours", label="saml=1/ü")
    assert parse_reference(f"{reference.uri}\n".encode()) == reference
    for other in (b"", b"-----BEGIN PRIVATE KEY-----", b"pkcs11:token=a", b"\xff" * 9,
                  b"pkcs11:token=a;object=b;type=private;pin-value=1"):  # fmt: skip
        assert parse_reference(other) is None
