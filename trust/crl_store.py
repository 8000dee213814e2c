"""The last good CRLs, in a folder that outlives the process.

Each CRL is one file named by its series (issuer, signing key, scope, base or delta)::

    trust/crls/5c1e….pem     the CRL, then what its predecessors revoked and it no longer lists,
                             then the path of its signer, that one first, its anchor last

A CRL that ``check_crl`` refuses never replaces one that it accepted, and no CRL is deleted because
it is old: who was revoked stays revoked (facts pki A6 rule 4). Files are written whole or not at
all, and checked again when they are loaded.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trust.certificates import fingerprint, parse_certificates
from trust.crl import (
    MAX_CRL_BYTES,
    AcceptedCrl,
    Crl,
    check_crl,
    dropped_entries,
    parse_crl,
    series,
    sorted_name,
)
from trust.distinguished_names import ComparableName
from trust.errors import TrustError
from trust.files import write_file
from trust.path import signed_by

MAX_CRLS = 500
MEMORY = timedelta(days=1200)
"""How long after its revocation a dropped entry is remembered: longer than any leaf lives."""

_MAX_FILE_BYTES = MAX_CRL_BYTES * 3 // 2
_DROPPED = "dropped"
_BEGIN, _END = b"-----BEGIN X509 CRL-----\n", b"-----END X509 CRL-----\n"


@dataclass(frozen=True, slots=True)
class CrlShelf:
    """Accepted CRLs in memory, by issuer: an immutable ``trust.revocation.CrlView``."""

    _by_issuer: dict[ComparableName, tuple[AcceptedCrl, ...]]

    @classmethod
    def of(cls, accepted: Iterable[AcceptedCrl]) -> CrlShelf:
        """A shelf with these CRLs."""
        by_issuer: dict[ComparableName, list[AcceptedCrl]] = {}
        for each in accepted:
            by_issuer.setdefault(each.crl.issuer, []).append(each)
        return cls({issuer: tuple(crls) for issuer, crls in by_issuer.items()})

    def crls(self, issuer: ComparableName) -> Sequence[AcceptedCrl]:
        """Those of one issuer name."""
        return self._by_issuer.get(issuer, ())

    def __iter__(self) -> Iterator[AcceptedCrl]:
        """All of them."""
        return chain.from_iterable(self._by_issuer.values())

    def __len__(self) -> int:
        """How many CRLs there are."""
        return sum(map(len, self._by_issuer.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfReport:
    """What a folder holds: the good CRLs, and the files that could not be used."""

    shelf: CrlShelf
    faults: tuple[TrustError, ...] = ()
    files: Mapping[Path, KeptCrl] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCrl:
    """A CRL with the mark of the file that it was read from."""

    accepted: AcceptedCrl
    mark: FileMark


FileMark = tuple[int, int, int]
"""What changes when a file is written anew: its time, size and inode."""


def folder_mark(folder: Path) -> dict[Path, FileMark]:
    """The CRL files of a folder with their marks; cheap, so that it can be asked often."""
    marks: dict[Path, FileMark] = {}
    for path in folder.glob("*.pem"):
        if path.name.startswith("."):
            continue
        try:
            status = path.stat()
        except OSError:
            continue  # it went away between the two looks
        marks[path] = status.st_mtime_ns, status.st_size, status.st_ino
    return marks


def load_crls(
    folder: Path,
    anchors: Iterable[x509.Certificate],
    *,
    now: datetime,
    known: Mapping[Path, KeptCrl] | None = None,
) -> ShelfReport:
    """Reads the folder; a missing one holds nothing, a bad file is a fault and not an end.

    Args:
        folder: where the CRLs are.
        anchors: the authorised anchors; CRLs whose signers end at another one are faults.
        now: the moment to judge at.
        known: what was read before: a file with the same mark is not read again.

    Raises:
        TrustError: ``crl-store-invalid`` when the folder has too many files.
    """
    marks = folder_mark(folder)
    if len(marks) > MAX_CRLS:
        raise TrustError(
            "crl-store-invalid", f"The folder has over {MAX_CRLS} CRLs.", where=str(folder)
        )
    trusted = {fingerprint(anchor) for anchor in anchors}
    files: dict[Path, KeptCrl] = {}
    faults: list[TrustError] = []
    for path, mark in sorted(marks.items()):
        before = (known or {}).get(path)
        if (
            before is not None
            and before.mark == mark
            and fingerprint(before.accepted.signer[-1]) in trusted
        ):
            files[path] = before
            continue
        try:
            files[path] = KeptCrl(accepted=_load(path, trusted, now=now), mark=mark)
        except TrustError as error:
            faults.append(error)
    return ShelfReport(
        shelf=CrlShelf.of(kept.accepted for kept in files.values()),
        faults=tuple(faults),
        files=files,
    )


def keep_crl(folder: Path, crl: Crl, signer: Sequence[x509.Certificate], *, now: datetime) -> bool:
    """Keeps a CRL if it may be believed and is newer than the stored one of its series.

    Args:
        folder: where the CRLs are; made when it is missing.
        crl: the new CRL.
        signer: the validated path of the certificate that signed it, that one first, anchor last.
        now: the moment to judge at.

    Returns:
        Whether it was written; ``False`` when it is the stored one already.

    Raises:
        TrustError: the code of ``check_crl``'s finding (``crl-rollback`` among them) with the
            stored CRL untouched, ``file-not-written``, ``crl-store-invalid`` when there are too
            many already.
    """
    path = folder / f"{_name(crl, signer[0])}.pem"
    before = _stored(path, signer, now=now)
    stored = before.crl if before is not None else None
    finding = check_crl(crl, signer[0], now=now, stored=stored)
    if finding is not None:
        raise TrustError(finding.code, finding.sentence, where=str(path))
    if stored is not None and stored.digest == crl.digest:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrustError(
            "file-not-written", "The CRL folder cannot be made.", where=str(folder)
        ) from error
    if stored is None and sum(1 for _ in folder.glob("*.pem")) >= MAX_CRLS:
        raise TrustError("crl-store-invalid", f"There are {MAX_CRLS} CRLs already.")
    path_pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in signer)
    body = "\n".join(textwrap.wrap(base64.b64encode(crl.der()).decode("ascii"), 64))
    dropped = _dropped_text(_dropped(before, crl, now=now))
    crl_pem = _BEGIN + body.encode("ascii") + b"\n" + _END
    write_file(path, crl_pem + dropped + path_pem, replace=True)
    return True


def _dropped(before: AcceptedCrl | None, crl: Crl, *, now: datetime) -> dict[int, datetime]:
    if before is None or crl.is_delta:
        return {}
    gone = {**before.dropped, **dropped_entries(before.crl, crl)}
    oldest = now - MEMORY
    return {
        serial: date
        for serial, date in gone.items()
        if serial not in crl.revoked and date >= oldest
    }


def _dropped_text(dropped: Mapping[int, datetime]) -> bytes:
    lines = (f"{_DROPPED} {serial:x} {date.isoformat()}\n" for serial, date in dropped.items())
    return "".join(lines).encode("ascii")


def _read_dropped(text: bytes) -> dict[int, datetime]:
    dropped: dict[int, datetime] = {}
    for line in text.decode("ascii").splitlines():
        word, serial, date = line.split(" ")
        moment = datetime.fromisoformat(date)
        if word != _DROPPED or moment.tzinfo is None:
            raise ValueError("not a line about a dropped entry")
        dropped[int(serial, 16)] = moment
    return dropped


def _stored(path: Path, signer: Sequence[x509.Certificate], *, now: datetime) -> AcceptedCrl | None:
    if not path.exists():
        return None
    try:
        return _load(path, {fingerprint(signer[-1])}, now=now)
    except TrustError:
        return None  # a damaged file protects nobody from a rollback, and must not block renewal


def _load(path: Path, trusted: set[str], *, now: datetime) -> AcceptedCrl:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TrustError(
            "file-unreadable", "A CRL file cannot be read.", where=str(path)
        ) from error
    head, end, tail = text.partition(_END)
    if len(text) > _MAX_FILE_BYTES or not end or not head.startswith(_BEGIN):
        raise _invalid(path, "layout")
    try:
        crl = parse_crl(base64.b64decode(head[len(_BEGIN) :]))
        dropped, mark, rest = tail.partition(b"-----BEGIN CERTIFICATE")
        remembered = _read_dropped(dropped)
        signer = parse_certificates(mark + rest)
    except (TrustError, ValueError) as error:
        raise _invalid(path, str(error)) from error
    if not signer or fingerprint(signer[-1]) not in trusted or path.stem != _name(crl, signer[0]):
        raise _invalid(path, "signer")
    if not all(map(signed_by, signer, signer[1:])):
        raise _invalid(path, "signer")
    finding = check_crl(crl, signer[0], now=now)
    if finding is not None:
        raise _invalid(path, finding.code)
    return AcceptedCrl(crl=crl, signer=signer, dropped=remembered)


def _name(crl: Crl, signer: x509.Certificate) -> str:
    issuer, key_id, scope, delta = series(crl, signer)
    reasons = sorted(reason.value for reason in scope.reasons)
    points = None if scope.points is None else sorted(scope.points)
    parts = (
        sorted_name(issuer),
        key_id,
        (scope.only_user, scope.only_ca, scope.only_attribute, reasons, points),
        delta,
    )
    return hashlib.sha256(repr(parts).encode("utf-8")).hexdigest()


def _invalid(path: Path, detail: str) -> TrustError:
    return TrustError(
        "crl-store-invalid",
        "A stored CRL is damaged or no longer acceptable.",
        detail=detail,
        where=str(path),
    )
