"""What is wrong with ``node.toml``, in words for whoever wrote it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError

_FORMS: Final = {
    "node.home_community_id": "urn:oid: and an OID, such as urn:oid:2.999.1",
    "node.assigning_authority": "an OID, such as 2.999.1",
    "node.repository_unique_id": "an OID, such as 2.999.1",
    "node.npi": "ten digits",
    "listen.public_url": "https://HOST, https://HOST:PORT, or either with a path",
    "fhir.public_url": "https://HOST/PATH without a slash at its end",
    "mail.sender": "a mail address",
    "mail.console_url": "https://HOST",
}


def words_for(error: ValidationError, sections: type[BaseModel]) -> tuple[str, str]:
    """The key of the first fault, and a sentence about it and about how many more there are.

    Args:
        error: what the settings' class found.
        sections: that class, whose fields are the sections.
    """
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts)
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return key, f"{_sentence(first, key, parts, sections)}{more}."


def _sentence(
    first: Mapping[str, Any], key: str, parts: list[str], sections: type[BaseModel]
) -> str:
    what = f"section [{key}]" if len(parts) == 1 else f"setting {key}"
    match first["type"]:
        case "extra_forbidden":
            return f"there is no {what}{_meant(parts, sections)}"
        case "missing":
            return f"the {what} is missing"
        case "string_pattern_mismatch":
            form = _FORMS.get(key) or f"what the pattern {first['ctx']['pattern']} takes"
            return f"{key} has to be {form}"
        case _:
            return f"{key}: {first['msg']}"


def _meant(parts: list[str], sections: type[BaseModel]) -> str:
    known: Collection[str] = sections.model_fields
    if len(parts) > 1:
        section = sections.model_fields[parts[0]].annotation
        inside = isinstance(section, type) and issubclass(section, BaseModel)
        known = section.model_fields if inside else ()  # type: ignore[union-attr]
    close = get_close_matches(parts[-1], known, n=1)
    if not close:
        return ""
    return f"; was {'.'.join([*parts[:-1], close[0]])} meant?"
