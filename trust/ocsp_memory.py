"""OCSP answers at hand, and the questions that are to be asked (facts pki A6 rule 5).

Asking happens out of band: a judgement that finds no current CRL leaves its question here, and goes
by what is known. A good answer counts until its nextUpdate. A certificate that an answer revoked
stays revoked: those are kept in a file, ``ocsp-revoked.json``, beside the CRLs. Everything is
bounded; the oldest goes first, the revoked never.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path as FilePath

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from trust.certificates import fingerprint
from trust.errors import TrustError
from trust.files import write_file
from trust.ocsp import OcspAnswer, OcspStatus

MAX_ANSWERS = 10_000
MAX_QUESTIONS = 1_000
FILE_NAME = "ocsp-revoked.json"
MIN_WAIT = timedelta(minutes=1)
MAX_WAIT = timedelta(hours=1)

_MAX_FILE_BYTES = 4 * 1024 * 1024
_MAX_DOUBLINGS = 10
_MAX_URL = 2000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OcspQuestion:
    """One certificate to ask about.

    Attributes:
        certificate, issuer: from a validated path.
        url: of the CA's responder, as the certificate names it.
        due: when to ask; ``None`` at once.
        failures: how often in a row there was no answer that may be believed.
    """

    certificate: x509.Certificate
    issuer: x509.Certificate
    url: str
    due: datetime | None = None
    failures: int = 0

    @property
    def name(self) -> str:
        """The fingerprint of the certificate."""
        return fingerprint(self.certificate)

    def request(self, nonce: bytes) -> bytes:
        """The request in DER form. Its SHA-1 only names the issuer, as responders want it."""
        return (
            ocsp.OCSPRequestBuilder()
            .add_certificate(self.certificate, self.issuer, hashes.SHA1())  # noqa: S303
            .add_extension(x509.OCSPNonce(nonce), critical=False)
            .build()
            .public_bytes(Encoding.DER)
        )


def responder_url(certificate: x509.Certificate) -> str | None:
    """The http(s) address of the OCSP responder that a certificate names."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
        return None
    for row in access.value:
        name = row.access_location
        if (
            row.access_method == AuthorityInformationAccessOID.OCSP
            and isinstance(name, x509.UniformResourceIdentifier)
            and len(name.value) <= _MAX_URL
            and name.value.lower().startswith(("http://", "https://"))
        ):
            return name.value
    return None


class OcspMemory:
    """Usable from several threads."""

    def __init__(self, folder: FilePath) -> None:
        """``folder`` is that of the CRLs; a file that cannot be read holds nothing."""
        self._file = folder / FILE_NAME
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, OcspAnswer] = OrderedDict()
        self._questions: OrderedDict[str, OcspQuestion] = OrderedDict()
        self._revoked = _read(self._file)

    def answer(self, name: str) -> OcspAnswer | None:
        """What is known about the certificate with a fingerprint."""
        return self._revoked.get(name) or self._answers.get(name)

    def want(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        """Leave a question, where the certificate names a responder."""
        name = fingerprint(certificate)
        if name in self._questions or name in self._revoked:
            return
        url = responder_url(certificate)
        if url is None:
            return
        with self._lock:
            self._questions[name] = OcspQuestion(certificate=certificate, issuer=issuer, url=url)
            if len(self._questions) > MAX_QUESTIONS:
                self._questions.popitem(last=False)

    def due(self, now: datetime) -> tuple[OcspQuestion, ...]:
        """The questions to ask now."""
        with self._lock:
            questions = tuple(self._questions.values())
        return tuple(q for q in questions if q.due is None or now >= q.due)

    def keep(self, question: OcspQuestion, answer: OcspAnswer, *, now: datetime) -> bool:
        """Take an answer; whether something else is known by it.

        One that may not be believed changes nothing and is asked for again, less and less often.
        A good one is asked for again in the middle of its life if it is wanted then.

        Raises:
            TrustError: ``file-not-written`` when a revocation cannot be kept; it counts all the
                same as long as the process lives.
        """
        name = question.name
        with self._lock:
            if answer.this_update is None or answer.next_update is None:
                wait = min(MIN_WAIT * 2 ** min(question.failures, _MAX_DOUBLINGS), MAX_WAIT)
                self._questions[name] = replace(
                    question, due=now + wait, failures=question.failures + 1
                )
                return False
            self._questions.pop(name, None)
            if answer.status is OcspStatus.REVOKED:
                self._answers.pop(name, None)
                self._revoked[name] = answer
                _write(self._file, self._revoked)
                return True
            before = self._answers.pop(name, None)
            self._answers[name] = answer
            if len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
            return before is None or not before.is_current(now)

    def is_late(self, name: str, now: datetime) -> bool:
        """Whether an answer is past the middle of its life, or there is none."""
        answer = self.answer(name)
        if answer is None or answer.this_update is None or answer.next_update is None:
            return True
        return now > answer.this_update + (answer.next_update - answer.this_update) / 2


def _read(file: FilePath) -> dict[str, OcspAnswer]:
    try:
        with file.open("rb") as stream:
            rows = json.loads(stream.read(_MAX_FILE_BYTES))
        return {
            str(name): _revoked(datetime.fromisoformat(moment)) for name, moment in rows.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _revoked(moment: datetime) -> OcspAnswer:
    if moment.tzinfo is None:
        raise ValueError("not a moment")
    return OcspAnswer(
        status=OcspStatus.REVOKED,
        reason_code="certificate-revoked",
        sentence="The responder says that the certificate is revoked.",
        this_update=moment,
        next_update=moment,
    )


def _write(file: FilePath, revoked: dict[str, OcspAnswer]) -> None:
    moments = {
        name: answer.this_update.isoformat()
        for name, answer in sorted(revoked.items())
        if answer.this_update is not None
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrustError(
            "file-not-written", "The CRL folder cannot be made.", where=str(file.parent)
        ) from error
    write_file(file, json.dumps(moments, indent=1).encode("ascii"), replace=True)
