"""Which patient the address of a page stands for: a random reference, never the patient's own id.

References live in this process alone, for an hour, and each opens for the person who looked the
patient up and for nobody else. A restart forgets them; whoever still needs one looks again.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from node.model import PatientId

LIFETIME: Final = timedelta(hours=1)
MOST: Final = 1000
"""References that are kept; the oldest goes for a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    login: str
    patient: PatientId
    until: datetime


class LookedUp:
    """The references in use."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[str, _Looked] = OrderedDict()

    def keep(self, login: str, patient: PatientId, now: datetime) -> str:
        """A new reference of a patient, for one person."""
        reference = secrets.token_urlsafe(16)
        with self._lock:
            self._held[reference] = _Looked(login=login, patient=patient, until=now + LIFETIME)
            while len(self._held) > MOST:
                self._held.popitem(last=False)
        return reference

    def find(self, login: str, reference: str, now: datetime) -> PatientId | None:
        """The patient, if the reference is this person's and not too old."""
        with self._lock:
            found = self._held.get(reference)
        if found is None or found.login != login or now >= found.until:
            return None
        return found.patient
