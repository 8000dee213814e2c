"""The file of patients who asked not to share: one row for each patient identifier.

CSV with the header ``assigning_authority,id`` and any further columns (a reason, a date), which are
kept by people and not read here::

    assigning_authority,id,since
    2.999.7.1,MRN-0042,2026-03-01
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from node.errors import SettingsError
from node.model import PatientId

_COLUMNS = ("assigning_authority", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOuts:
    """Patients who asked not to share, by any of their identifiers."""

    identifiers: frozenset[PatientId] = frozenset()

    def any_of(self, identifiers: Iterable[PatientId]) -> bool:
        """Whether one of a person's identifiers is on the list."""
        return not self.identifiers.isdisjoint(identifiers)


def parse_opt_outs(text: str) -> OptOuts:
    """Read the file's text.

    Raises:
        SettingsError: when a column is missing or a row is incomplete; the row's number is named,
            never its content. A list that cannot be read whole is not honoured in part.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise SettingsError(
            "opt-out-file-invalid", f"The opt-out file has no column {' and '.join(missing)}."
        )
    found = set()
    for number, row in enumerate(reader, start=2):
        authority = (row["assigning_authority"] or "").strip().removeprefix("urn:oid:")
        identifier = (row["id"] or "").strip()
        if not authority or not identifier:
            raise SettingsError(
                "opt-out-file-invalid", f"Line {number} of the opt-out file is incomplete."
            )
        found.add(PatientId(assigning_authority=authority, id=identifier))
    return OptOuts(identifiers=frozenset(found))
