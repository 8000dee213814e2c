"""The codes of audit records, read once from ``data/audit.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What an audit record is about.

    Attributes:
        event: the DICOM code of EventID.
        action: EventActionCode.
        pattern: the BALP pattern that its AuditEvent follows, or ``None``.
        kind: a DICOM code beside the type that we name ourselves, or ``None``.
        patients: whether the DICOM message names the patients.
        ihe: whether its type is a transaction of IHE although it follows no pattern.
    """

    event: str
    action: str
    pattern: str | None = None
    kind: str | None = None
    patients: bool = True
    ihe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A BALP pattern: the action, the RESTful interaction, and the profiles that ask for it."""

    action: str
    interaction: str
    profile: str
    with_patient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCodes:
    """The tables of ``data/audit.toml``, which says where each code is from."""

    dicom_system: Mapping[str, str]
    fhir_system: Mapping[str, str]
    profile: Mapping[str, str]
    display: Mapping[str, str]
    occasion: Mapping[str, Occasion]
    pattern: Mapping[str, Pattern]
    outcome: Mapping[str, str]
    issue: Mapping[str, str]
    code: Mapping[str, str]
    text: Mapping[str, str]

    def of(self, occasion: str) -> Occasion:
        """The row of an occasion; of one that the table lacks, an activity of the application."""
        return self.occasion.get(occasion, self.occasion["other"])


@lru_cache(maxsize=1)
def audit_codes() -> AuditCodes:
    """All tables."""
    source = resources.files("node.wire").joinpath("data/audit.toml").read_text("utf-8")
    tables: dict[str, Any] = tomllib.loads(source)
    occasions = {name: Occasion(**row) for name, row in tables.pop("occasion").items()}
    patterns = {name: Pattern(**row) for name, row in tables.pop("pattern").items()}
    return AuditCodes(occasion=occasions, pattern=patterns, **tables)
