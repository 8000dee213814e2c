"""What a running node knows of revocation: the CRLs of its folder, by the rules of its anchors.

The folder is read by ``refresh`` (out of band: reading a large CRL takes seconds), never while a
request waits. A request compares one number, ``generation``; it is another one whenever a CRL, an
OCSP answer or a rule is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path as FilePath

from cryptography import x509

from trust.anchors import Anchor
from trust.certificates import fingerprint
from trust.crl_store import CrlShelf, FileMark, KeptCrl, folder_mark, load_crls
from trust.distinguished_names import comparable
from trust.errors import TrustError
from trust.path import Path
from trust.revocation import judge_revocation
from trust.revocation_policy import RevocationDecision, RevocationRule


class LiveRevocations:
    """Implements ``trust.bound_chain.Revocations``; usable from several threads."""

    def __init__(self, folder: FilePath, anchors: Iterable[Anchor], *, now: datetime) -> None:
        """Reads the folder; a CRL file that cannot be used is among ``faults``.

        Raises:
            TrustError: ``crl-store-invalid`` when the folder has too many files.
        """
        self._folder = folder
        self._lock = threading.Lock()
        self._generation = 0
        self._marks: dict[FilePath, FileMark] = {}
        self._files: dict[FilePath, KeptCrl] = {}
        self._shelf = CrlShelf.of(())
        self._anchors = tuple(anchors)
        self._rules = _rules(self._anchors)
        self.faults: tuple[TrustError, ...] = ()
        self._load(folder_mark(folder), now)

    def generation(self) -> int:
        """Goes up whenever something else is known."""
        return self._generation

    @property
    def shelf(self) -> CrlShelf:
        """The CRLs in use."""
        return self._shelf

    def judge(self, path: Path, *, now: datetime) -> RevocationDecision:
        """Judges a validated path, leaf first, anchor last, by the rule of its anchor."""
        # An anchor that we do not know (any more) gets the strict rule.
        rule = self._rules.get(fingerprint(path[-1]), RevocationRule())
        return judge_revocation(path, self._shelf, rule=rule, now=now)

    def issuers(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """The CA certificates of CRLs at hand that bear the name of a certificate's issuer."""
        try:
            accepted = self._shelf.crls(comparable(certificate.issuer))
        except ValueError:
            return ()
        found = dict.fromkeys(c for each in accepted for c in each.signer[:-1])
        return tuple(found)

    def refresh(self, *, now: datetime) -> bool:
        """Reads what other processes, or the fetcher, changed in the folder; whether it did.

        Raises:
            TrustError: ``crl-store-invalid`` when the folder has too many files; what was known
                before stays in use.
        """
        with self._lock:
            marks = folder_mark(self._folder)
            if marks == self._marks:
                return False
            self._load(marks, now)
            return True

    def use_anchors(self, anchors: Iterable[Anchor], *, now: datetime) -> None:
        """Goes on with other anchors, or other rules of the same ones.

        Raises:
            TrustError: as ``refresh``.
        """
        with self._lock:
            self._anchors = tuple(anchors)
            self._rules = _rules(self._anchors)
            self._load(folder_mark(self._folder), now)

    def _load(self, marks: dict[FilePath, FileMark], now: datetime) -> None:
        roots = [anchor.certificate for anchor in self._anchors]
        report = load_crls(self._folder, roots, now=now, known=self._files)
        # A file that is damaged now leaves what it said before in force.
        lost = {
            path: kept
            for path, kept in self._files.items()
            if path not in report.files and path in marks and kept.accepted.signer[-1] in roots
        }
        self._files = {**lost, **report.files}
        self._shelf = CrlShelf.of(kept.accepted for kept in self._files.values())
        self._marks = marks
        self.faults = report.faults
        self._generation += 1


def _rules(anchors: Iterable[Anchor]) -> dict[str, RevocationRule]:
    return {anchor.fingerprint: anchor.revocation for anchor in anchors}
