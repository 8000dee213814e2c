"""The denied keys and certificates of network lists, asked on every request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509

from trust.certificates import fingerprint
from trust.keys import PublicKey, spki_sha256
from trust.network_list.listing import Denial, DenyList
from trust.undecodable import UNDECODABLE


class Denied(Protocol):
    """What authentication asks before anything else about a key."""

    def denial(self, shown: x509.Certificate | PublicKey) -> Denial | None:
        """Why a key or certificate is denied, or ``None``."""
        ...

    def generation(self) -> int:
        """A number that is another one whenever the denials may be."""
        ...

    def list_in_use(self) -> str | None:
        """The digest of the network list in use, or ``None``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeniedKeys:
    """Denials by SHA-256; a look-up is a dictionary access after the hashing of the key."""

    keys: Mapping[str, Denial] = field(default_factory=dict)
    certificates: Mapping[str, Denial] = field(default_factory=dict)

    @classmethod
    def of(cls, *lists: DenyList) -> DeniedKeys:
        """All denials of some lists together."""
        return cls(
            keys={denial.sha256: denial for found in lists for denial in found.keys},
            certificates={d.sha256: d for found in lists for d in found.certificates},
        )

    def denial(self, shown: x509.Certificate | PublicKey) -> Denial | None:
        """Why a key or certificate is denied, or ``None``."""
        if isinstance(shown, x509.Certificate) and self.certificates:
            found = self.certificates.get(fingerprint(shown))
            if found is not None:
                return found
        if not self.keys:
            return None
        try:
            return self.keys.get(spki_sha256(shown))
        except UNDECODABLE:  # a key of no known kind is refused elsewhere
            return None

    def generation(self) -> int:
        """Always 0: these denials do not change."""
        return 0

    def list_in_use(self) -> str | None:
        """Always ``None``: these denials come from no list."""
        return None

    def __len__(self) -> int:
        return len(self.keys) + len(self.certificates)
