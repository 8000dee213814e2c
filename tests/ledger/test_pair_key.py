"""Keys of pairs and their tokens: the vectors of ``pair_tokens.json``."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.errors import LogError
from node.ledger.pair_key import pair_key

VECTORS = json.loads((Path(__file__).parent / "pair_tokens.json").read_text())


def private(seed: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())


def public(seed: str) -> bytes:
    return private(seed).public_key().public_bytes_raw()


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda each: each["window"])
def test_both_sides_derive_the_tokens_of_the_vectors(vector) -> None:
    a, b = VECTORS["a"], VECTORS["b"]
    window = date.fromisoformat(vector["window"])
    for own, other in ((a, b), (b, a)):
        assert public(other["seed"]).hex() == other["public"]
        key = pair_key(
            private(own["seed"]),
            bytes.fromhex(other["public"]),
            logs=(own["log"], other["log"]),
            window=window,
        )
        asked = {n: vector[n] for n in ("initiator", "message_id", "transaction")}
        assert key.token(**asked).hex() == vector["token"]
        digest = bytes.fromhex(vector["sha256"])
        assert key.digest("request", digest).hex() == vector["request"]
        assert key.digest("response", digest).hex() == vector["response"]
        assert repr(key) == "PairKey(…)"


def test_a_token_is_what_the_facts_say_step_by_step() -> None:
    """HKDF and HMAC written out by hand, from RFC 5869 and RFC 2104."""
    a, b, vector = VECTORS["a"], VECTORS["b"], VECTORS["tokens"][0]
    shared = private(a["seed"]).exchange(private(b["seed"]).public_key())
    origins = sorted([f"{a['log']}/2026", f"{b['log']}/2026"])
    info = "\0".join([*origins, vector["window"]]).encode()
    extracted = hmac.digest(bytes(32), shared, "sha256")
    key = hmac.digest(extracted, info + b"\x01", "sha256")
    text = "\0".join(["xchg-v1", vector["initiator"], vector["message_id"], vector["transaction"]])
    assert hmac.digest(key, text.encode(), "sha256")[:16].hex() == vector["token"]


def test_another_day_peer_log_or_part_gives_another_token() -> None:
    a, b = VECTORS["a"], VECTORS["b"]
    day, asked = date(2026, 11, 26), {"message_id": "urn:uuid:1", "transaction": "ITI-55"}
    logs = (a["log"], b["log"])
    keys = [
        pair_key(private(a["seed"]), public(b["seed"]), logs=logs, window=day),
        pair_key(private(a["seed"]), public(b["seed"]), logs=logs, window=date(2026, 11, 27)),
        pair_key(private(a["seed"]), public("third"), logs=logs, window=day),
        pair_key(private(a["seed"]), public(b["seed"]), logs=(a["log"], "log.c/x"), window=day),
    ]
    tokens = {key.token(initiator="urn:oid:2.999.1", **asked) for key in keys}
    tokens.add(keys[0].token(initiator="urn:oid:2.999.2", **asked))
    assert len(tokens) == 5
    digest = bytes(32)
    assert keys[0].digest("request", digest) != keys[0].digest("response", digest)


def test_a_key_that_agrees_with_everybody_is_refused() -> None:
    with pytest.raises(LogError) as refused:
        pair_key(private("a"), bytes(32), logs=("a", "b"), window=date(2026, 1, 1))
    assert refused.value.code == "log-key-invalid"
