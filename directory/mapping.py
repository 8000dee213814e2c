"""What the codes, identifiers and extensions of a community mean: data, not code.

``directory/data/mappings.toml`` covers the RCE directory, Carequality and IHE mCSD and describes
the file's form at its top. An operator's file of the same form is read after it and wins over it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path

from directory.errors import DirectoryError

Codes = dict[tuple[str, str], tuple[str, ...]]
"""(system, code) to meanings; system ``""`` is a code without one, ``"*"`` any."""

_CODE_SECTIONS = ("types", "purposes", "transactions", "connections", "domains")
_SECTIONS = {*_CODE_SECTIONS, "identifiers", "extensions", "endpoint_names", "options"}
_IDENTIFIERS = {"home-community-id", "tefca-id", "assigning-authority", "npi"}
_EXTENSIONS = {
    "purposes",
    "transactions",
    "domains",
    "managing-organization",
    "use-cases",
    "initiator-only",
    "node-type",
    "version",
    "roles",
    "delegation",
    "published-key",
}
_MAX_FILE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierRule:
    """An identifier whose given parts all agree has this meaning."""

    means: str
    system: str | None = None
    type_system: str | None = None
    type_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunityMapping:
    """The tables of one or several mapping files, later files first in effect."""

    identifiers: tuple[IdentifierRule, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)
    types: Codes = field(default_factory=dict)
    purposes: Codes = field(default_factory=dict)
    transactions: Codes = field(default_factory=dict)
    connections: Codes = field(default_factory=dict)
    domains: Codes = field(default_factory=dict)
    endpoint_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    purposes_of_organization: bool = False

    def identifier(self, system: str, types: tuple[tuple[str, str], ...]) -> str | None:
        """The meaning of an identifier by its system and its type codings, or ``None``."""
        for rule in self.identifiers:
            if rule.system is not None and rule.system != system:
                continue
            if rule.type_code is not None and not any(
                code == rule.type_code and rule.type_system in (None, type_system)
                for type_system, code in types
            ):
                continue
            return rule.means
        return None


def meaning(codes: Codes, system: str, code: str) -> tuple[str, ...] | None:
    """What a coding means, or ``None`` when it is not in the table."""
    found = codes.get((system, code))
    return found if found is not None else codes.get(("*", code))


def community_mapping(*files: Path) -> CommunityMapping:
    """The built-in mapping, overlaid by an operator's files in the order given.

    Raises:
        DirectoryError: ``mapping-invalid`` when a file cannot be read or has an unknown section,
            key or meaning.
    """
    mapping = built_in()
    for file in files:
        try:
            if file.stat().st_size > _MAX_FILE:
                raise DirectoryError("mapping-invalid", "The mapping file is larger than 1 MB.")
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DirectoryError(
                "mapping-invalid", f"The mapping file {file.name} cannot be read."
            ) from error
        mapping = overlay(mapping, text, where=file.name)
    return mapping


@lru_cache
def built_in() -> CommunityMapping:
    """The mapping that comes with the package."""
    text = resources.files("directory").joinpath("data/mappings.toml").read_text(encoding="utf-8")
    return overlay(CommunityMapping(), text, where="mappings.toml")


def overlay(base: CommunityMapping, text: str, *, where: str) -> CommunityMapping:
    """A mapping with the rows of a TOML text laid over it.

    Raises:
        DirectoryError: ``mapping-invalid``.
    """
    try:
        document = tomllib.loads(text)
        _known(set(document), _SECTIONS, "section")
        tables = {
            section: {**getattr(base, section), **_codes(document.get(section, []))}
            for section in _CODE_SECTIONS
        }
        options = document.get("options", {})
        _known(set(options), {"endpoint_without_purposes"}, "option")
        default = options.get("endpoint_without_purposes")
        _known({default} - {None}, {"none", "organization"}, "endpoint_without_purposes")
        names = {
            " ".join(name.casefold().split()): _texts(meanings)
            for row in document.get("endpoint_names", [])
            for name, meanings in row["names"].items()
        }
        return CommunityMapping(
            identifiers=(
                *(_identifier(row) for row in document.get("identifiers", [])),
                *base.identifiers,
            ),
            extensions={**base.extensions, **_extensions(document.get("extensions", []))},
            endpoint_names={**base.endpoint_names, **names},
            purposes_of_organization=base.purposes_of_organization
            if default is None
            else default == "organization",
            types=tables["types"],
            purposes=tables["purposes"],
            transactions=tables["transactions"],
            connections=tables["connections"],
            domains=tables["domains"],
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DirectoryError(
            "mapping-invalid", f"The mapping file {where} is not valid.", detail=str(error)
        ) from error


def _known(given: set[str], known: set[str], what: str) -> None:
    if unknown := given - known:
        raise ValueError(f"unknown {what}: {', '.join(sorted(map(str, unknown)))}")


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) and item for item in values):
        raise TypeError(f"not a text or a list of texts: {value!r}")
    return tuple(values)


def _codes(rows: list[dict[str, object]]) -> Codes:
    table: Codes = {}
    for row in rows:
        _known(set(row), {"systems", "codes"}, "key")
        codes = row["codes"]
        meanings = codes if isinstance(codes, dict) else {code: code for code in _texts(codes)}
        systems = row["systems"]
        if not isinstance(systems, list):
            raise TypeError("systems is not a list")
        for system in systems:
            table.update({(str(system), code): _texts(means) for code, means in meanings.items()})
    return table


def _identifier(row: dict[str, str]) -> IdentifierRule:
    _known({row["means"]}, _IDENTIFIERS, "identifier meaning")
    rule = IdentifierRule(**row)
    if rule.system is None and rule.type_code is None:
        raise ValueError("an identifier row needs a system or a type_code")
    return rule


def _extensions(rows: list[dict[str, object]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        means = str(row["means"])
        _known({means}, _EXTENSIONS, "extension meaning")
        found.update(dict.fromkeys(_texts(row["urls"]), means))
    return found
