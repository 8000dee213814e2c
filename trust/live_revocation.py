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
from trust.crl_sources import MAX_SOURCES, CrlSource, sources_of
from trust.crl_store import CrlShelf, FileMark, KeptCrl, folder_mark, load_crls
from trust.distinguished_names import comparable
from trust.errors import TrustError
from trust.ocsp import OcspAnswer, OcspStatus
from trust.ocsp_memory import OcspMemory, OcspQuestion
from trust.path import Path
from trust.revocation import judge_revocation
from trust.revocation_policy import (
    RevocationDecision,
    RevocationPolicy,
    RevocationRule,
    Source,
    State,
)


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
        self._sighted: dict[str, CrlSource] = {}
        self.ocsp = OcspMemory(folder)
        self.faults: tuple[TrustError, ...] = ()
        self._load(folder_mark(folder), now)

    def generation(self) -> int:
        """Goes up whenever something else is known."""
        return self._generation

    @property
    def anchors(self) -> tuple[x509.Certificate, ...]:
        """The certificates of the anchors in use."""
        return tuple(anchor.certificate for anchor in self._anchors)

    @property
    def shelf(self) -> CrlShelf:
        """The CRLs in use."""
        return self._shelf

    def judge(self, path: Path, *, now: datetime) -> RevocationDecision:
        """Judges a validated path, leaf first, anchor last, by the rule of its anchor."""
        # An anchor that we do not know (any more) gets the strict rule.
        rule = self._rules.get(fingerprint(path[-1]), RevocationRule())
        names = [fingerprint(certificate) for certificate in path[:-1]]
        answers = {name: found for name in names if (found := self.ocsp.answer(name)) is not None}
        decision = judge_revocation(path, self._shelf, rule=rule, now=now, answers=answers)
        self._sight(path)
        if rule.policy not in _WITHOUT_OCSP:
            self._ask_about(path, names, decision, now)
        return decision

    def sources(self) -> dict[str, CrlSource]:
        """The distribution points that the certificates of judged paths named so far."""
        return dict(self._sighted)

    def answered(self, question: OcspQuestion, answer: OcspAnswer, *, now: datetime) -> bool:
        """Takes an OCSP answer; whether something else is known by it.

        Raises:
            TrustError: as ``OcspMemory.keep``; a revocation counts then too.
        """
        news = answer.status is OcspStatus.REVOKED
        try:
            news = self.ocsp.keep(question, answer, now=now)
        finally:
            if news:
                with self._lock:
                    self._generation += 1
        return news

    def _sight(self, path: Path) -> None:
        if len(self._sighted) < MAX_SOURCES:
            for url, source in sources_of(path).items():
                self._sighted.setdefault(url, source)

    def _ask_about(
        self, path: Path, names: list[str], decision: RevocationDecision, now: datetime
    ) -> None:
        for index, status in enumerate(decision.certificates):
            doubtful = status.state is State.UNKNOWN or status.reason_code in _DOUBTS
            by_ocsp = status.source is Source.OCSP and status.state is State.GOOD
            if (doubtful or by_ocsp) and self.ocsp.is_late(names[index], now):
                self.ocsp.want(path[index], path[index + 1])

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


_WITHOUT_OCSP = frozenset({RevocationPolicy.REQUIRE_CRL, RevocationPolicy.DIRECTORY_ONLY})
_DOUBTS = frozenset({"crl-missing", "crl-stale", "crl-expired"})


def _rules(anchors: Iterable[Anchor]) -> dict[str, RevocationRule]:
    return {anchor.fingerprint: anchor.revocation for anchor in anchors}
