"""Keys that no library here would make: the floor under them (facts pki A11, crypto)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from trust.certificates import parse_der
from trust.chain import verify_chain
from trust.der import SEQUENCE, elements, only
from trust.key_floor import check_key, is_guessable
from trust.usages import Usage

RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
PRIME_FIELD = bytes.fromhex("06072a8648ce3d0201")
P_192 = bytes.fromhex("06082a8648ce3d030101")
# Modulus of 2048 bits for what only the exponent shall be wrong with: any odd number does.
MODULUS = (1 << 2047) + 1


@pytest.fixture
def with_key(forge, intermediate, sequence):
    """The usual leaf with another public key in its DER; its signature no longer fits."""

    def build(spki: bytes):
        leaf = forge("leaf.example", issuer=intermediate)
        der = leaf.certificate.public_bytes(Encoding.DER)
        whole = [part for _, _, part in elements(only(der, SEQUENCE))]
        signed = [part for _, _, part in elements(only(whole[0], SEQUENCE))]
        signed[6] = spki
        return parse_der(sequence(sequence(*signed), *whole[1:]))

    return build


@pytest.fixture
def rsa_key(sequence):
    def integer(value: int) -> bytes:
        return sequence(value.to_bytes(value.bit_length() // 8 + 1, "big"), tag=2)

    def spki(modulus: int, exponent: int) -> bytes:
        key = sequence(integer(modulus), integer(exponent))
        return sequence(RSA_ENCRYPTION, sequence(b"\0" + key, tag=3))

    return spki


@pytest.fixture
def judge(intermediate, root, now):
    def judge(certificate):
        verdict = verify_chain(
            certificate,
            [intermediate.certificate],
            [root.certificate],
            usage=Usage.TLS_CLIENT,
            now=now,
        )
        assert not verdict.ok
        return verdict.reason_code

    return judge


@pytest.mark.parametrize("bits", [512, 1024, 2047])
def test_rsa_1024_and_512(with_key, rsa_key, judge, bits):
    weak = rsa_key((1 << bits - 1) + 1, 65537)
    assert judge(with_key(weak)) in ("certificate-key-weak", "certificate-key-refused")


@pytest.mark.parametrize("exponent", [1, 2, 3, 17, 65535])
def test_exponent_1_and_3(with_key, rsa_key, judge, exponent):
    weak = rsa_key(MODULUS, exponent)
    assert judge(with_key(weak)) in ("certificate-key-weak", "certificate-key-refused")


def test_roca(with_key, rsa_key, judge):
    """CVE-2017-15361: a modulus that is a power of 65537 for every small prime."""
    product = 1
    for number in range(2, 702):
        if all(number % divisor for divisor in range(2, number)):
            product *= number
    guessable = next(
        n
        for power in range(100)
        if (n := ((1 << 2047) // product + 1) * product + pow(65537, power, product)) % 2
    )
    assert guessable.bit_length() == 2048
    assert judge(with_key(rsa_key(guessable, 65537))) == "certificate-key-weak"


def test_ordinary_rsa_keys_are_not_taken_for_guessable(make_key):
    for name in "ab":
        assert not is_guessable(make_key("rsa-2048", name).public_key().public_numbers().n)


def test_p_192(with_key, sequence, judge):
    """With a point that lies on the curve, its generator: the curve itself is refused."""
    x = "188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012"
    y = "07192b95ffc8da78631011ed6b24cdd573f977a11e794811"
    point = bytes.fromhex("0004" + x + y)
    spki = sequence(sequence(PRIME_FIELD, P_192), sequence(point, tag=3))
    assert judge(with_key(spki)) == "certificate-key-refused"


def test_the_floor_lets_the_usual_keys_pass(forge, intermediate):
    for kind in ("p-256", "p-384", "rsa-2048", "rsa-3072"):
        assert check_key(forge("a.example", issuer=intermediate, kind=kind).certificate) is None
