"""A folder of real documents in place of the made ones: divided over the answering members."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.demo.charts import HeldFile
from node.demo.people import Behaviour, Cast, Organisation
from node.demo.plan import MemberPlan, NetworkPlan
from node.errors import CodedError, SettingsError, WireError
from node.model import Demographics
from node.wire.cda import read_document
from node.wire.fhir_bundle import read_bundle

MAX_FILES = 2000
MAX_BYTES = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_SINCE = "19000101"
"""Sample documents are often old: the five years that a query reaches back by default hide them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """One readable file: the person's key groups files, the family name keeps kin apart."""

    file: HeldFile
    patient: Demographics

    @property
    def family(self) -> str:
        return _family(self.patient)


def given_plan(cast: Cast, folder: Path) -> NetworkPlan:
    """The network over a folder's documents; the person with most of them is asked for.

    Both holders get a part of that person's documents and some in common, the declining and the
    slow member one each; nobody of that family name is known at the member that does not know the
    person.

    Raises:
        SettingsError: ``demo-data-unusable`` when the folder has no document, or too many files.
    """
    given, left_out = _read(folder)
    if not given:
        raise SettingsError(
            "demo-data-unusable", "The folder has no readable C-CDA document or FHIR bundle."
        )
    counts = Counter(g.file.person for g in given)
    # the fullest demographics of those with the highest count; the name decides a tie
    person = min(counts, key=lambda key: (-counts[key], key))
    theirs = [g for g in given if g.file.person == person]
    others = [g for g in given if g.file.person != person]
    demographics = max((g.patient for g in theirs), key=_fullness)
    files = _divided(cast.answering, theirs, others)
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
        person=person,
        demographics=demographics,
        purpose=cast.purpose,
        since=_SINCE,
        left_out=tuple(left_out),
    )


def _divided(
    members: Sequence[Organisation], theirs: Sequence[_Given], others: Sequence[_Given]
) -> Mapping[str, list[HeldFile]]:
    held: dict[str, list[HeldFile]] = {member.key: [] for member in members}
    holders = [m.key for m in members if m.behaviour is Behaviour.HOLDS]
    single = [m.key for m in members if m.behaviour in (Behaviour.DECLINES, Behaviour.IS_SLOW)]
    for number, given in enumerate(theirs):
        # every fifth one is in all places, the rest in turn
        places = holders if number % 5 == 0 else [holders[number % len(holders)]]
        for key in places:
            held[key].append(given.file)
    for key in single:
        held[key].append(theirs[-1].file)
    for number, given in enumerate(others):
        kin = given.family == theirs[0].family
        open_to = holders if kin else [m.key for m in members]
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
        file = HeldFile(name=f"{number:04d}{ending}", content=content, person=_person(patient))
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


def _person(patient: Demographics) -> str:
    """Whom a file is about, roughly: the members' own matching decides later."""
    given = patient.names[0].given[0].upper() if patient.names and patient.names[0].given else ""
    return f"{_family(patient)}|{given}|{patient.birth_date or ''}"


def _family(patient: Demographics) -> str:
    return (patient.names[0].family or "").upper() if patient.names else ""


def _fullness(patient: Demographics) -> tuple[int, int, int]:
    parts = sum(1 for a in patient.addresses if a.lines and a.postal_code)
    return bool(patient.sex) + bool(parts), len(patient.telecoms), len(patient.identifiers)
