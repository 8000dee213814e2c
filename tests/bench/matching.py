"""Precision and recall of patient matching on the shared data sets with known truth.

How pairs are scored: every labelled true pair, every labelled hard non-match, and every pair that
the index would compare (that shares a blocking key, within the limits of the rules). A pair counts
as linked when its verdict is certain *and* it was compared. A pair that is not in the truth file is
a non-match, so precision counts all links made, not only the labelled pairs. Recall is over all
true pairs, whether or not blocking found them.
"""

from __future__ import annotations

import csv
import gzip
import io
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from node.model import Address, Demographics, PatientId, PersonName, Telecom
from node.records.blocking import keys_of
from node.records.matching import Verdict, score_traits
from node.records.rules import Rules, default_rules
from node.records.traits import Traits, traits_of

SSN = "2.16.840.1.113883.4.1"
FEBRL_ID = "1.2.36.1"
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table: a data set, or one kind of perturbation in it."""

    name: str
    pairs: int
    linked: int
    compared: int
    precision: float | None = None
    hard_linked: int | None = None
    hard: int | None = None

    @property
    def recall(self) -> float:
        """Share of the true pairs that were linked."""
        return self.linked / self.pairs if self.pairs else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """People, the pairs that are one person, and the labelled pairs that are not."""

    name: str
    people: Mapping[str, Demographics]
    matches: Mapping[Pair, str]
    hard: frozenset[Pair] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found on one data set."""

    rows: tuple[Row, ...]
    false_links: tuple[Pair, ...]
    hard_links: tuple[Pair, ...]
    missed: tuple[Pair, ...] = field(default=())
    pairs_scored: int = 0
    cpu_seconds: float = 0.0


def measure(truth: Truth, rules: Rules | None = None) -> Measured:
    """Score a data set; see the module's text for which pairs."""
    used = rules or default_rules()
    started = time.process_time()
    traits = {i: traits_of(d, used) for i, d in truth.people.items()}
    compared = _blocked(traits, used)
    scored = compared | set(truth.matches) | truth.hard
    linked = {
        p
        for p in scored
        if score_traits(traits[p[0]], traits[p[1]], used).verdict is Verdict.CERTAIN
    }
    hard_links = linked & truth.hard
    made = linked & compared
    true_links = made & set(truth.matches)
    total = Row(
        name=truth.name,
        pairs=len(truth.matches),
        linked=len(true_links),
        compared=len(compared & set(truth.matches)),
        precision=len(true_links) / len(made) if made else None,
        hard_linked=len(hard_links),
        hard=len(truth.hard),
    )
    return Measured(
        rows=(total, *_kinds(truth, true_links, compared)),
        false_links=tuple(sorted(made - set(truth.matches))),
        hard_links=tuple(sorted(hard_links)),
        missed=tuple(sorted(set(truth.matches) - made)),
        pairs_scored=len(scored),
        cpu_seconds=time.process_time() - started,
    )


def _blocked(traits: Mapping[str, Traits], rules: Rules) -> set[Pair]:
    blocks: dict[str, list[str]] = defaultdict(list)
    for i, person in traits.items():
        for key in keys_of(person, rules):
            blocks[key].append(i)
    return {pair(a, b) for ids in blocks.values() for a, b in combinations(ids[: rules.per_key], 2)}


def _kinds(truth: Truth, linked: set[Pair], compared: set[Pair]) -> Iterable[Row]:
    by_kind: dict[str, set[Pair]] = defaultdict(set)
    for p, kinds in truth.matches.items():
        for kind in set(kinds.split("+")) - {""}:
            by_kind[kind].add(p)
    return [
        Row(name=kind, pairs=len(of), linked=len(of & linked), compared=len(of & compared))
        for kind, of in sorted(by_kind.items())
    ]


def pair(a: str, b: str) -> Pair:
    """A pair in one order."""
    return (a, b) if a < b else (b, a)


def _rows(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    reader = csv.DictReader(io.StringIO(text.decode("utf-8-sig")), skipinitialspace=True)
    return [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]


def us_synth_opn(folder: Path) -> Truth:
    """10,205 US records of 6,000 people with labelled mistakes and hard non-matches."""
    people = {
        r["rec_id"]: Demographics(
            names=(
                PersonName(
                    family=r["family"] or None,
                    given=tuple(g for g in (r["given"], r["middle"]) if g),
                    suffix=r["suffix"] or None,
                ),
                *(
                    (PersonName(family=r["previous_family"], given=(r["given"],)),)
                    * bool(r["previous_family"])
                ),
            ),
            birth_date=r["birth_date"].replace("-", "") or None,
            sex=r["sex"] if r["sex"] in ("M", "F") else None,
            identifiers=(
                PatientId(assigning_authority=r["source_oid"], id=r["mrn"]),
                *((PatientId(assigning_authority=SSN, id=r["ssn"]),) * bool(r["ssn"])),
            ),
            telecoms=tuple(
                Telecom(value=v)
                for v in (r["phone"] and f"tel:{r['phone']}", r["email"] and f"mailto:{r['email']}")
                if v
            ),
            addresses=(
                (
                    Address(
                        lines=(r["line"],),
                        city=r["city"] or None,
                        state=r["state"] or None,
                        postal_code=r["zip"] or None,
                    ),
                )
                if r["line"] or r["zip"]
                else ()
            ),
            mothers_maiden_name=PersonName(family=r["mothers_maiden"])
            if r["mothers_maiden"]
            else None,
        )
        for r in _rows(folder / "us_synth_opn_records.csv.gz")
    }
    truth = _rows(folder / "us_synth_opn_truth.csv.gz")
    return Truth(
        name="us_synth_opn",
        people=people,
        matches={pair(t["rec_a"], t["rec_b"]): t["kind"] for t in truth if t["truth"] == "match"},
        hard=frozenset(pair(t["rec_a"], t["rec_b"]) for t in truth if t["truth"] != "match"),
    )


def febrl(folder: Path, *names: str) -> Truth:
    """A FEBRL set (Australia; no sex, no telephone); record ids ``rec-N-…`` name the person."""
    people: dict[str, Demographics] = {}
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for r in _rows(folder / f"febrl_{name}.csv.gz"):
            people[r["rec_id"]] = Demographics(
                names=(
                    PersonName(
                        family=r["surname"] or None, given=tuple(g for g in (r["given_name"],) if g)
                    ),
                ),
                birth_date=r["date_of_birth"] or None,
                identifiers=(
                    (PatientId(assigning_authority=FEBRL_ID, id=r["soc_sec_id"]),)
                    if r["soc_sec_id"]
                    else ()
                ),
                addresses=(
                    Address(
                        lines=tuple(
                            x
                            for x in (
                                f"{r['street_number']} {r['address_1']}".strip(),
                                r["address_2"],
                            )
                            if x
                        ),
                        city=r["suburb"] or None,
                        state=r["state"] or None,
                        postal_code=r["postcode"] or None,
                    ),
                ),
            )
            groups["-".join(r["rec_id"].split("-")[:2])].append(r["rec_id"])
    matches = {pair(a, b): "" for ids in groups.values() for a, b in combinations(ids, 2)}
    return Truth(name="febrl " + "+".join(names), people=people, matches=matches)


def table(shared_data: Path) -> list[Row]:
    """All rows for ``make bench``: each data set, and for the first one each perturbation."""
    folder = shared_data / "matching"
    rows: list[Row] = []
    for truth in (
        us_synth_opn(folder),
        febrl(folder, "dataset1"),
        febrl(folder, "dataset3"),
        febrl(folder, "dataset4a", "dataset4b"),
    ):
        rows.extend(measure(truth).rows)
    return rows
