"""Every file of the shared sets saml and xmldsig meets the verifier; a table says what comes."""

from __future__ import annotations

import base64
import fnmatch
import tarfile
import tomllib
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from trust.errors import TrustError
from trust.key_info import read_key_info
from trust.xml import parse
from trust.xml_names import DS
from trust.xmldsig import DEFAULT_POLICY, SignaturePolicy, VerifiedBytes, verify

SIGNATURE = f"{{{DS}}}Signature"
ROWS = tomllib.loads(Path(__file__).with_name("signed_files.toml").read_text("utf-8"))["row"]
SETS = sorted({row["set"] for row in ROWS})
SHA1 = SignaturePolicy(allow_sha1=True, min_rsa_bits=1024)

pytestmark = [
    pytest.mark.shared,
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]


def members(folder: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """The files of a set: an archive, or a plain folder."""
    if name == "xua":
        for path in sorted((folder / "saml/xua").iterdir()):
            yield path.name, path.read_bytes()
        return
    (archive,) = folder.glob(f"*/{name}.tar.gz")
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                yield member.name, decoded(member.name, file.read())


def decoded(name: str, data: bytes) -> bytes:
    """SAML's HTTP bindings write base64, the redirect binding deflates before."""
    if not name.endswith(".base64"):
        return data
    data = base64.b64decode(data)
    try:
        return zlib.decompress(data, wbits=-15)
    except zlib.error:
        return data


def judge(data: bytes, policy: SignaturePolicy) -> tuple[str, list[VerifiedBytes]]:
    """All codes of the signatures in a file, each against the element that holds it."""
    try:
        root = parse(data)
    except TrustError as error:
        return error.code, []
    codes, proofs = set(), []
    for signature in list(root.iter(SIGNATURE)):
        element = signature.getparent()
        element = signature if element is None else element
        for name in {"ID"} | ({"Id", "id"} & set(element.attrib)):
            try:
                proofs.append(verify(element, signature, id_attribute=name, policy=policy))
                codes.add("accepted")
            except TrustError as error:
                codes.add(error.code)
    return "+".join(sorted(codes)) or "no-signature", proofs


def row_of(name: str, file: str) -> int | None:
    for number, row in enumerate(ROWS):
        if row["set"] == name and any(fnmatch.fnmatchcase(file, one) for one in row["files"]):
            return number
    return None


@pytest.mark.parametrize("name", SETS)
def test_each_file_is_judged_as_its_row_says(shared_data: Path, name: str):
    """Refused by policy and with the precise code; nothing ever ends in another exception."""
    wrong, seen = [], Counter()
    for file, data in members(shared_data, name):
        number = row_of(name, file)
        if number is None:
            wrong.append(f"{file} has no row")
            continue
        seen[number] += 1
        row = ROWS[number]
        strict, strictly = judge(data, DEFAULT_POLICY)
        sha1, proofs = judge(data, SHA1)
        if (strict, sha1) != (row["strict"], row.get("sha1", row["strict"])):
            wrong.append(f"{file}: {strict}, with SHA-1 {sha1}")
        # What the exception adds is SHA-1, is marked so, and is nothing else.
        assert not any(proof.weak for proof in strictly)
        assert all(proof.weak for proof in proofs) or len(strictly) == len(proofs), file
    assert wrong == []
    counts = {n: row["count"] for n, row in enumerate(ROWS) if row["set"] == name}
    assert dict(seen) == counts


def test_every_set_has_rows(shared_data: Path):
    archives = {path.name.removesuffix(".tar.gz") for path in shared_data.glob("saml/*.tar.gz")}
    archives |= {path.name.removesuffix(".tar.gz") for path in shared_data.glob("xmldsig/*.tar.gz")}
    # The folder xsw-xua-soap has its own table, from its EXPECTED.csv, in test_wssecurity.
    assert archives | {"xua"} == set(SETS)
    assert {path.name for path in (shared_data / "saml").iterdir() if path.is_dir()} == {
        "xua",
        "xsw-xua-soap",
    }


def test_every_row_has_its_reason():
    assert all(len(row["reason"]) > 5 for row in ROWS)
    assert not any("accepted" in row["strict"] for row in ROWS)


def test_a_response_signed_anew_by_an_attacker_is_proved_by_another_key_only(shared_data: Path):
    """Whose key it is, the binding decides: here is what it is given."""
    files = dict(members(shared_data, "node-saml"))
    honest = x509.load_pem_x509_certificate(files["test__static__cert.pem"]).public_key()
    folder = "test__static__signatures__"
    name = "root-resigned-by-attacker-assertion-unsigned-attackers-cert-at-keyinfo"
    _, (evil,) = judge(files[f"{folder}invalid__response.{name}.xml"], SHA1)
    _, (good,) = judge(files[f"{folder}valid__response.root-signed.assertion-unsigned.xml"], SHA1)
    assert good.key == honest
    assert evil.key != honest
    assert evil.key_from_message


@pytest.mark.parametrize("name", SETS)
def test_libxmlsec_says_the_same_of_each_signature_in_our_profile(shared_data: Path, name: str):
    """What we prove it proves, and what we call changed or of another key it refuses as well."""
    for file, data in members(shared_data, name):
        try:
            root = parse(data)
        except TrustError:
            continue
        for number, signature in enumerate(root.iter(SIGNATURE)):
            element = signature.getparent()
            if element is None:
                continue
            try:
                key = verify(element, signature, policy=SHA1).key
            except TrustError as error:
                if error.code != "signature-invalid":
                    continue
                if (key := stated_key(signature)) is not None:
                    assert not libxmlsec_accepts(data, number, key), file
            else:
                assert libxmlsec_accepts(data, number, key), file


def stated_key(signature):
    try:
        hint = read_key_info(signature.find(f"{{{DS}}}KeyInfo"))
    except (TrustError, TypeError):
        return None  # no KeyInfo, or none that can be read
    return hint and hint.key


def libxmlsec_accepts(data: bytes, number: int, key) -> bool:
    root = etree.fromstring(data, etree.XMLParser(collect_ids=False))
    signature = list(root.iter(SIGNATURE))[number]
    context = xmlsec.SignatureContext()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    context.key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM)
    context.register_id(signature.getparent(), "ID")
    try:
        context.verify(signature)
    except xmlsec.Error:
        return False
    return True
