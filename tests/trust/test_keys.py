from __future__ import annotations

import hashlib
import os
import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.errors import TrustError, error_table
from trust.keys import (
    KeyKind,
    generate_key,
    key_kind,
    key_matches,
    load_key,
    public_key_of,
    save_key,
    spki_sha256,
)


def numbers(key):
    return key.private_numbers()


def refused(path, passphrase=None):
    with pytest.raises(TrustError) as caught:
        load_key(path, passphrase=passphrase)
    return caught.value.code


@pytest.mark.parametrize("kind", list(KeyKind))
def test_every_kind_is_made_as_named(kind):
    assert key_kind(generate_key(kind).public_key()) == kind


def test_a_plain_key_file_comes_back_and_is_ours_alone(tmp_path, make_key):
    path = tmp_path / "k.pem"
    save_key(path, make_key())
    assert numbers(load_key(path)) == numbers(make_key())
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["k.pem"]


@pytest.mark.parametrize("kind", ["p-256", "rsa-2048"])
def test_an_encrypted_key_file_opens_with_its_passphrase_only(tmp_path, make_key, kind):
    path = tmp_path / "k.pem"
    save_key(path, make_key(kind), passphrase=b"correct horse")
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert numbers(load_key(path, passphrase=b"correct horse")) == numbers(make_key(kind))
    assert refused(path, b"battery staple") == "key-passphrase-wrong"
    assert refused(path) == "key-passphrase-missing"


def test_the_passphrase_is_stretched_by_scrypt(tmp_path, make_key):
    path = tmp_path / "k.pem"
    save_key(path, make_key(), passphrase=b"x")
    scrypt_oid = bytes.fromhex("06092b06010401da47040b")
    pbkdf2_oid = bytes.fromhex("06092a864886f70d01050c")
    der = ssl.PEM_cert_to_DER_cert(path.read_text().replace("ENCRYPTED PRIVATE KEY", "CERTIFICATE"))
    assert scrypt_oid in der
    assert pbkdf2_oid not in der


def test_openssl_reads_the_encrypted_file(tmp_path, issue):
    identity = issue("node.example")
    save_key(tmp_path / "k.pem", identity.key, passphrase=b"pw")
    (tmp_path / "c.pem").write_bytes(identity.certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLError):
        context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem", password="wrong")
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem", password="pw")


@settings(max_examples=5, deadline=None)
@given(passphrase=st.binary(min_size=1, max_size=80))
def test_any_passphrase_round_trips(tmp_path_factory, make_key, passphrase):
    path = tmp_path_factory.mktemp("keys") / "k.pem"
    save_key(path, make_key(), passphrase=passphrase)
    assert spki_sha256(load_key(path, passphrase=passphrase)) == spki_sha256(make_key())


def test_an_empty_passphrase_is_no_passphrase(tmp_path, make_key):
    with pytest.raises(TrustError) as caught:
        save_key(tmp_path / "k.pem", make_key(), passphrase=b"")
    assert caught.value.code == "key-passphrase-empty"
    assert not list(tmp_path.iterdir())


def test_an_existing_key_is_not_overwritten_by_accident(tmp_path, make_key):
    path = tmp_path / "k.pem"
    save_key(path, make_key())
    with pytest.raises(TrustError) as caught:
        save_key(path, make_key("p-256", "b"))
    assert caught.value.code == "file-exists"
    assert numbers(load_key(path)) == numbers(make_key())
    save_key(path, make_key("p-256", "b"), replace=True)
    assert numbers(load_key(path)) == numbers(make_key("p-256", "b"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_missing_is_named(tmp_path, make_key):
    with pytest.raises(TrustError) as caught:
        save_key(tmp_path / "none" / "k.pem", make_key())
    assert caught.value.code == "file-not-written"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_world_readable_key_file(tmp_path, make_key, mode):
    path = tmp_path / "k.pem"
    save_key(path, make_key())
    path.chmod(mode)
    assert refused(path) == "key-file-exposed"


def test_a_key_file_of_another_user(tmp_path, make_key, monkeypatch):
    path = tmp_path / "k.pem"
    save_key(path, make_key())
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert refused(path) == "key-file-owner"


def test_a_missing_key_file(tmp_path):
    assert refused(tmp_path / "none.pem") == "key-file-missing"


def test_a_key_path_that_is_no_file(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    assert refused(fifo) == "key-file-invalid"


def test_a_file_without_a_key(tmp_path):
    path = tmp_path / "k.pem"
    path.touch(0o600)
    path.write_bytes(b"junk")
    assert refused(path) == "key-file-invalid"


def test_pem_with_two_keys(tmp_path, make_key):
    path = tmp_path / "k.pem"
    save_key(path, make_key())
    path.write_bytes(path.read_bytes() * 2)
    assert refused(path) == "key-file-invalid"


def test_a_broken_key_body(tmp_path):
    path = tmp_path / "k.pem"
    path.touch(0o600)
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert refused(path) == "key-file-invalid"


def test_a_huge_key_file_is_not_read_whole(tmp_path, make_key):
    path = tmp_path / "k.pem"
    save_key(path, make_key())
    path.write_bytes(path.read_bytes() + b"\n" * 100_000)
    assert refused(path) == "key-file-invalid"


def test_an_ed25519_key_is_not_ours_to_use(tmp_path):
    path = tmp_path / "k.pem"
    path.touch(0o600)
    path.write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    assert refused(path) == "key-kind-refused"


def test_key_cert_mismatch(issue, make_key):
    identity = issue("node.example")
    assert key_matches(identity.key, identity.certificate)
    assert not key_matches(make_key("p-256", "stranger"), identity.certificate)


def test_a_pin_is_the_hash_of_the_spki(issue):
    identity = issue("node.example")
    der = identity.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = hashlib.sha256(der).hexdigest()
    assert spki_sha256(identity.key) == pin
    assert spki_sha256(identity.key.public_key()) == pin
    assert spki_sha256(identity.certificate) == pin
    assert spki_sha256(public_key_of(identity.certificate)) == pin


def test_errors_say_nothing_of_the_passphrase(tmp_path, make_key):
    path = tmp_path / "k.pem"
    save_key(path, make_key(), passphrase=b"right")
    with pytest.raises(TrustError) as caught:
        load_key(path, passphrase=b"hunter2")
    error = caught.value
    assert "hunter2" not in f"{error} {error.detail} {error.where}"
    assert error_table("trust")[error.code]["party"] == "ours"


def test_a_weak_rsa_key_has_its_size_in_its_name():
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert key_kind(key.public_key()) == "rsa-1024"
