"""The patients that a person may open an app on: found by name and birth date, shown in brief."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from node.exchange.fhir_ports import FhirRecords, HeldResource, View
from node.policy.opt_out import OptOuts
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.query import SearchLimits, parse_search

MOST: Final = 20
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPatient:
    """What the pages say of a patient."""

    id: str
    name: str
    birth_date: str
    gender: str


class Patients:
    """Looks patients up in the records."""

    def __init__(self, records: FhirRecords, opt_outs: Callable[[], OptOuts]) -> None:
        """``opt_outs`` gives the list in force: who is on it is not shown."""
        self._records = records
        self._opt_outs = opt_outs

    async def one(self, id_: str) -> ShownPatient | None:
        """A patient by id."""
        found = await self._records.read("Patient", id_, self._view())
        return _shown(found) if found else None

    async def found(
        self, family: str, birth_date: str, now: datetime
    ) -> tuple[ShownPatient, ...] | None:
        """Patients whose family name begins so and who were born on a day, at most 20.

        ``None`` when what was typed is no name and no day.

        Raises:
            FhirProblem: when the search takes too long.
        """
        name = re.sub(r"[\\\\,|$]", " ", family).strip()[:100]
        if not name or not _DAY.fullmatch(birth_date):
            return None
        query = parse_search(
            resource_types()["Patient"],
            [("family", name), ("birthdate", birth_date), ("_count", str(MOST))],
            strict=True,
            base_url="",
            now=now,
            limits=SearchLimits(),
        )
        page = await self._records.search(query, self._view(), None)
        return tuple(_shown(each) for each in page.matches)

    def _view(self) -> View:
        return View(scopes={"Patient": ()}, opt_outs=self._opt_outs())


def _shown(held: HeldResource) -> ShownPatient:
    value: Mapping[str, Any] = orjson.loads(held.data)
    return ShownPatient(
        id=held.id,
        name=_name(value.get("name")) or "no name",
        birth_date=_text(value.get("birthDate")),
        gender=_text(value.get("gender")),
    )


def _name(names: object) -> str:
    for each in names if isinstance(names, list) else ():
        if isinstance(each, dict) and each.get("use") not in ("old", "maiden"):
            given = each.get("given")
            parts = [*(given if isinstance(given, list) else ()), each.get("family")]
            found = " ".join(filter(None, map(_text, parts))) or _text(each.get("text"))
            if found:
                return found
    return ""


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""
