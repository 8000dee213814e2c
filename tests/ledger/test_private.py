from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OurFault, SettingsError
from node.ledger import private
from node.ledger.private import ENTROPY, LedgerKey, create_key, load_key, seal, to_json, unseal
from node.model import PatientId
from tests.ledger.records import PATIENT, USER
from tests.ledger.records import private as facts

KEY = LedgerKey(bytes(32))


@given(st.binary(max_size=300), st.binary(min_size=ENTROPY, max_size=ENTROPY))
def test_a_sealed_group_opens_to_its_bytes_and_salt(data: bytes, entropy: bytes) -> None:
    blob = seal(KEY.wrapping("entry"), "entry", "who", data, entropy)
    opened = unseal(KEY, "entry", "who", blob)
    assert (opened.data, opened.salt) == (data, entropy[:32])
    assert entropy[:32] not in blob
    assert entropy[32:64] not in blob


def test_a_blob_opens_in_its_own_entry_and_group_and_with_its_own_key_only() -> None:
    blob = seal(KEY.wrapping("entry"), "entry", "who", b"secret", os.urandom(ENTROPY))
    for key, entry, group in (
        (KEY, "other", "who"),
        (KEY, "entry", "docs"),
        (LedgerKey(b"\x01" * 32), "entry", "who"),
    ):
        with pytest.raises(OurFault) as caught:
            unseal(key, entry, group, blob)
        assert caught.value.code == "ledger-private-unreadable"


def test_every_changed_bit_and_every_cut_is_noticed() -> None:
    blob = seal(KEY.wrapping("entry"), "entry", "who", b"secret", os.urandom(ENTROPY))
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(OurFault):
            unseal(KEY, "entry", "who", bytes(changed))
    for length in range(len(blob)):
        with pytest.raises(OurFault):
            unseal(KEY, "entry", "who", blob[:length])


def test_law_6_a_value_that_is_not_json_is_not_quoted() -> None:
    with pytest.raises(OurFault) as caught:
        to_json({"name": {"Canaryson"}})
    assert "Canaryson" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "Canaryson" not in repr(private.Opened(salt=b"", data=b"Canaryson"))


def test_law_7_a_group_has_a_limit() -> None:
    with pytest.raises(OurFault) as caught:
        to_json(["x" * private.LIMIT])
    assert caught.value.code == "ledger-private-invalid"


def test_the_key_file_is_written_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = create_key(tmp_path, bytes(32))
    assert path == tmp_path / "keys" / "ledger.kek"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(tmp_path).token("x", "y") == KEY.token("x", "y")
    with pytest.raises(SettingsError) as caught:
        create_key(tmp_path, b"\x01" * 32)
    assert caught.value.code == "ledger-key-exists"
    assert load_key(tmp_path).token("x", "y") == KEY.token("x", "y")


def test_a_key_that_is_missing_exposed_or_broken_is_named(tmp_path: Path) -> None:
    def code() -> str:
        with pytest.raises(SettingsError) as caught:
            load_key(tmp_path)
        return caught.value.code

    assert code() == "ledger-key-missing"
    path = create_key(tmp_path, bytes(32))
    path.chmod(0o640)
    assert code() == "ledger-key-exposed"
    path.chmod(0o600)
    path.write_text("c2hvcnQ=")
    assert code() == "ledger-key-invalid"
    path.write_text("not base64!")
    assert code() == "ledger-key-invalid"
    assert "\\x00" not in repr(KEY)


def test_tokens_find_patients_users_documents_and_odd_message_ids() -> None:
    made = facts()
    groups: dict[str, object] = {
        "who": made.who,
        "patient": made.patient,
        "query": made.query,
        "docs": made.docs,
        "wire": {"unfit": {"msg": "mr-smith"}},
    }
    asked = PatientId(assigning_authority="2.999.1.1", id="CANARYMRN888")
    assert private.tokens(KEY, groups) == {
        KEY.patient_token(PATIENT): "patient",
        KEY.token("user", USER): "who",
        KEY.patient_token(asked): "query",
        KEY.token("document", "CANARYDOC.1"): "docs",
        KEY.token("message", "mr-smith"): "wire",
    }
    stored = {"id": "urn:uuid:x", "parameters": [["$XDSDocumentEntryPatientId", [PATIENT.cx]]]}
    assert private.tokens(KEY, {"query": stored}) == {KEY.patient_token(PATIENT): "query"}


def test_law_7_tokens_have_a_limit_and_odd_shapes_have_none() -> None:
    docs = [{"id": str(number)} for number in range(2 * private.TOKEN_LIMIT)]
    assert len(private.tokens(KEY, {"docs": docs})) == private.TOKEN_LIMIT
    odd = {
        "who": [1], "patient": {"ids": {"x": 1}}, "docs": {"id": "1"},
        "query": {"demographics": {"identifiers": [{"id": 3}]}, "parameters": [["a"], 3]},
        "wire": {"unfit": []},
    }  # fmt: skip
    assert private.tokens(KEY, odd) == {}
