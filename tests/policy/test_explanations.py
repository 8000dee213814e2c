"""Every code that a clinician may meet is explained (facts: governance-ux C14)."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from node.model import Outcome
from node.policy.explanations import NO, Call, Side, explained, explanations
from node.policy.reasons import reasons

ROOT = Path(__file__).resolve().parents[2]


def data(package: str, name: str) -> dict[str, object]:
    return tomllib.loads(resources.files(package).joinpath("data", name).read_text("utf-8"))


def peer_results() -> set[str]:
    return set(data("node.wire.fhir", "peer_results.toml")["error"])  # type: ignore[call-overload]


def declined() -> set[str]:
    read = data("node.exchange", "endings.toml")
    names = ("discovery_declined", "registry_declined", "fault_declined", "timeouts")
    return {str(code) for name in names for code in read[name]}  # type: ignore[attr-defined]


def of_the_way() -> set[str]:
    """The codes of the table in the docstring of what went wrong on the way."""
    text = (ROOT / "node" / "peers" / "network_faults.py").read_text(encoding="utf-8")
    found = re.findall(
        r'Fault\(\s*"([a-z-]+)"|code = "([a-z-]+)" if refused else "([a-z-]+)"', text
    )
    return {code for each in found for code in each if code}


def of_exchange() -> set[str]:
    """The codes that the asking side writes out itself."""
    codes: set[str] = set()
    for path in sorted((ROOT / "node" / "exchange").glob("*.py")):
        if path.name not in _SERVING:
            codes |= set(re.findall(r'reason="([A-Za-z-]+)"', path.read_text(encoding="utf-8")))
    return codes


def of_documents() -> set[str]:
    """Why a document is not opened."""
    codes: set[str] = set()
    for path in sorted((ROOT / "node" / "console").rglob("*.py")):
        codes |= set(re.findall(r'"(document-[a-z-]+)"', path.read_text(encoding="utf-8")))
    return codes - _ACTS


_ACTS = {"document-view", "document-refuse", "document-search"}

# what is told to others who ask us, and of our own systems' questions to the whole network
_SERVING = {"respond.py", "served.py", "network_answer.py"}


def test_the_catalogues_are_found() -> None:
    assert len(peer_results()) > 40
    assert {"dns", "reset", "tls-failed", "connect-refused", "connect-failed"} <= of_the_way()
    assert {"no-route", "timeout", "documents-missing"} <= of_exchange()


@pytest.mark.parametrize(
    "code",
    sorted(
        peer_results() | declined() | of_documents() | of_the_way() | of_exchange() | set(reasons())
        | {each.value for each in Outcome if each not in (Outcome.OK, Outcome.OK_EMPTY)}
        | {"no-relationship", "xcpd-ae", "xcpd-qe"}
    ),
)  # fmt: skip
def test_every_code_of_the_catalogues_has_a_row(code: str) -> None:
    assert code in explanations()


def test_rows_are_in_plain_words() -> None:
    for row in explanations().values():
        assert row.text.endswith(".")
        assert not row.title.endswith(".")
        assert not re.search(r"SAML|XCPD|XDS|TLS|FHIR|HTTP|endpoint|HCID", row.title + row.text)


def test_a_code_of_the_other_side_is_said_to_be_theirs() -> None:
    found = explained("AcmeSpecialCode17")
    assert (found.side, found.again, found.call) == (Side.THEIRS, NO, Call.ORGANIZATION)
