"""A folder of real documents in place of the made ones: divided over the answering members."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.demo.charts import HeldFile
from node.demo.people import Behaviour, Cast, Organisation
from node.demo.plan import MemberPlan, NetworkPlan
from node.errors import CodedError, SettingsError, WireError
from node.model import Demographics
from node.records.identity import merged
from node.records.matching import Verdict, score_traits
from node.records.rules import default_rules
from node.records.traits import traits_of
from node.wire.cda import read_document
from node.wire.fhir_bundle import read_bundle

MAX_FILES = 2000
MAX_BYTES = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_SINCE = "19000101"
"""Sample documents are often old: the five years that a query reaches back by default hide them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """One readable file and whom it is about."""

    file: HeldFile
    patient: Demographics


@dataclass(slots=True)
class _Person:
    """Files about one person by the rules of the node's own matching."""

    demographics: Demographics
    given: list[_Given]


def given_plan(cast: Cast, folder: Path) -> NetworkPlan:
    """The network over a folder's documents; the person with most of them is asked for.

    Both holders get a part of that person's documents and some in common, the declining and the
    slow member one each. Files about anybody who might be taken for that person go to members whose
    answer they cannot change: vendors' sample patients often share a name and a birth date, but not
    their social security number.

    Raises:
        SettingsError: ``demo-data-unusable`` when the folder has no document, or too many files.
    """
    given, left_out = _read(folder)
    if not given:
        raise SettingsError(
            "demo-data-unusable", "The folder has no readable C-CDA document or FHIR bundle."
        )
    people = _people(given)
    chosen = max(people, key=lambda person: len(person.given))
    others = [g for person in people if person is not chosen for g in person.given]
    asked = max((g.patient for g in chosen.given), key=_fullness)
    files = _divided(cast.answering, chosen, others)
    return NetworkPlan(
        network=cast.network,
        asking=cast.asking,
        members=tuple(
            MemberPlan(
                organisation=organisation,
                behaviour=organisation.behaviour or Behaviour.HOLDS,
                files=tuple(files[organisation.key]),
            )
            for organisation in cast.answering
        ),
        demographics=asked,
        purpose=cast.purpose,
        since=_SINCE,
        left_out=tuple(left_out),
    )


def _people(given: Sequence[_Given]) -> list[_Person]:
    """Whom the files are about: a file joins the largest person that it matches with certainty."""
    rules = default_rules()
    born: dict[str | None, list[_Person]] = {}
    for each in given:
        known = born.setdefault(each.patient.birth_date, [])
        traits = traits_of(each.patient, rules)
        certain = [
            person
            for person in known
            if score_traits(traits, traits_of(person.demographics, rules), rules).verdict
            is Verdict.CERTAIN
        ]
        if certain:
            person = max(certain, key=lambda p: len(p.given))
            person.demographics = merged(person.demographics, each.patient)
            person.given.append(each)
        else:
            known.append(_Person(demographics=each.patient, given=[each]))
    return [person for people in born.values() for person in people]


def _divided(
    members: Sequence[Organisation], chosen: _Person, others: Sequence[_Given]
) -> Mapping[str, list[HeldFile]]:
    held: dict[str, list[HeldFile]] = {member.key: [] for member in members}
    holders = [m.key for m in members if m.behaviour is Behaviour.HOLDS]
    single = [m.key for m in members if m.behaviour in (Behaviour.DECLINES, Behaviour.IS_SLOW)]
    away = [m.key for m in members if m.behaviour in (Behaviour.IS_SLOW, Behaviour.IS_DOWN)]
    for number, given in enumerate(chosen.given):
        # every fifth one is in all places, the rest in turn
        places = holders if number % 5 == 0 else [holders[number % len(holders)]]
        for key in places:
            held[key].append(given.file)
    for key in single:
        held[key].append(chosen.given[0].file)
    families = {_family(g.patient) for g in chosen.given}
    everybody = [m.key for m in members]
    for number, given in enumerate(others):
        open_to = away if _family(given.patient) in families else everybody
        held[open_to[number % len(open_to)]].append(given.file)
    return held


def _read(folder: Path) -> tuple[list[_Given], list[str]]:
    if not folder.is_dir():
        raise SettingsError("demo-data-unusable", "The folder of documents does not exist.")
    found: list[_Given] = []
    left_out: list[str] = []
    for number, path in enumerate(_files(folder), start=1):
        if number > MAX_FILES:
            raise SettingsError(
                "demo-data-unusable", f"The folder has more than {MAX_FILES} files."
            )
        try:
            content = _content(path)
            patient = _patient(content)
        except (CodedError, OSError, EOFError, zlib.error):
            left_out.append(path.relative_to(folder).as_posix())
            continue
        ending = ".json" if content.lstrip()[:1] == b"{" else ".xml"
        file = HeldFile(name=f"{number:04d}{ending}", content=content)
        found.append(_Given(file=file, patient=patient))
    return found, left_out


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            yield path


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise WireError("file-too-large", "The file is too large for the demo.")
    content = path.read_bytes()
    if not content.startswith(_GZIP):
        return content
    with gzip.open(path) as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise WireError("file-too-large", "The file is too large for the demo.")
    return content


def _patient(content: bytes) -> Demographics:
    if content.lstrip()[:1] == b"{":
        return read_bundle(content).facts.patient
    return read_document(content).patient


def _family(patient: Demographics) -> str:
    return (patient.names[0].family or "").upper() if patient.names else ""


def _fullness(patient: Demographics) -> tuple[int, int, int]:
    parts = sum(1 for a in patient.addresses if a.lines and a.postal_code)
    return bool(patient.sex) + bool(parts), len(patient.telecoms), len(patient.identifiers)
