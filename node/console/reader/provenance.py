"""Where a document is from, as paper says it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a document is from, in words; empty where nothing says so."""

    organization: str
    home: str
    authors: tuple[str, ...]
    custodian: str | None
    created: str
    visit: str
    fetched: str
    zone: str
    sha256: str
    patients: tuple[str, ...]
    printed_by: str
    node: str

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Name and words of each line that says something."""
        every = (
            ("Patient, as printed in the document", "; ".join(self.patients) or "nobody is named"),
            ("Author", "; ".join(self.authors)),
            ("Custodian", self.custodian or ""),
            ("Created", f"{self.created} ({self.zone})" if self.created else ""),
            ("Visit", self.visit),
            ("Came from", f"{self.organization} ({self.home})"),
            ("Came to us", f"{self.fetched} ({self.zone})"),
            ("SHA-256 of the original", self.sha256),
        )
        return tuple((name, words) for name, words in every if words)
