"""The CRLs that are kept, as a page shows them: read once each, without checking them again.

Whether one counts is decided where chains are examined (``trust.crl_store``); ``crl list`` and
``doctor`` say of each what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509

from node.settings import NodeHome
from trust.crl_store import MAX_CRLS, FileMark, folder_mark


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCrl:
    """One CRL; ``number`` is ``None`` where its CA gives none, ``entries`` how many it revokes."""

    issuer: str
    number: int | None
    this_update: datetime
    next_update: datetime | None
    entries: int


def stored_crls(home: NodeHome) -> tuple[StoredCrl, ...]:
    """Those that can be read, the first to end first."""
    found = []
    for path, mark in sorted(folder_mark(home.crls).items()):
        try:
            found.append(_read(path, mark))
        except (OSError, ValueError):
            continue  # `crl list` and `doctor` say that it cannot be used
    return tuple(sorted(found, key=lambda crl: crl.next_update or crl.this_update))


@lru_cache(maxsize=MAX_CRLS)
def _read(path: Path, mark: FileMark) -> StoredCrl:
    _ = mark  # another file under the same name is another CRL
    crl = x509.load_pem_x509_crl(path.read_bytes())
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = None
    return StoredCrl(
        issuer=crl.issuer.rfc4514_string(),
        number=number,
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        entries=len(crl),
    )
