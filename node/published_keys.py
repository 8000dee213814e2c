"""The keys that our directory entry shows beside certificates: of our log and our witness.

Others take them from there into what they accept; see ``directory.model.PublishedKey`` for how
another kind of key is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urljoin

from directory.model import AGREEMENT_KEY, LOG_KEY, WITNESS_KEY, PublishedKey
from node.identity import LogKey
from node.ledger.leaf import from_bytes
from node.ledger.sealer import verifier_key
from node.ledger.witness import witness_key
from node.log_keys import agreement_keys, log_signers
from node.log_origin import log_name, witness_name
from node.settings import NodeHome, Settings


def published_keys(
    home: NodeHome, settings: Settings, *, now: datetime
) -> tuple[PublishedKey, ...]:
    """What our entry shows; nothing of an identity that was not made yet.

    Raises:
        TrustError: when a key cannot be opened.
    """
    return tuple(_keys(home, settings, now))


def _keys(home: NodeHome, settings: Settings, now: datetime) -> Iterator[PublishedKey]:
    base = settings.listen.public_url
    for signer in log_signers(home, settings, now=now):
        key = verifier_key(log_name(settings), signer)
        yield PublishedKey(use=LOG_KEY, value=str(key), address=urljoin(base, "/log"))
    for agreement in agreement_keys(home, settings, now=now):
        public = from_bytes(agreement.public_key().public_bytes_raw())
        yield PublishedKey(use=AGREEMENT_KEY, value=public)
    for signer in log_signers(home, settings, now=now, name=LogKey.WITNESS):
        key = witness_key(witness_name(settings), signer)
        yield PublishedKey(use=WITNESS_KEY, value=str(key), address=urljoin(base, "/witness"))
