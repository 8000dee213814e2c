"""Which names the CAs of a path allow below them (RFC 5280 4.2.1.10 and 6.1.4 g).

DNS, e-mail, URI, IP and directory names are understood. A constraint on any other kind of name
forbids that kind altogether, so that nothing is ever passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from trust.distinguished_names import is_within
from trust.host_names import ip_address

MAX_COMPARISONS = 20_000
"""Names times constraints; a certificate beyond it is refused, not examined."""

_KINDS = (
    x509.DNSName,
    x509.RFC822Name,
    x509.UniformResourceIdentifier,
    x509.IPAddress,
    x509.DirectoryName,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSpace:
    """What the CAs so far allow.

    Attributes:
        permitted: one group per CA that permits; a name must be inside every group of its kind.
        excluded: a name may be inside none of these.
    """

    permitted: tuple[tuple[x509.GeneralName, ...], ...] = ()
    excluded: tuple[x509.GeneralName, ...] = ()

    def narrowed(self, constraints: x509.NameConstraints) -> NameSpace:
        """The name space below a CA that has these constraints."""
        permitted = tuple(constraints.permitted_subtrees or ())
        return NameSpace(
            permitted=(*self.permitted, permitted) if permitted else self.permitted,
            excluded=(*self.excluded, *(constraints.excluded_subtrees or ())),
        )

    def refusal(self, certificate: x509.Certificate) -> str | None:
        """Why a certificate's names are not allowed, or ``None``."""
        if not (self.permitted or self.excluded):
            return None
        names = list(_names(certificate))
        rules = len(self.excluded) + sum(map(len, self.permitted))
        if len(names) * rules > MAX_COMPARISONS:
            return "A certificate has too many names, or its CAs too many name constraints."
        for name in names:
            if any(_covers(base, name, cautious=True) for base in self.excluded):
                return "A CA of the chain excludes a name of a certificate below it."
            for group in self.permitted:
                own = [base for base in group if type(base) is type(name)]
                if own and not any(_covers(base, name, cautious=False) for base in own):
                    return "A CA of the chain does not permit a name of a certificate below it."
        return None


def _names(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    if certificate.subject.rdns:
        yield x509.DirectoryName(certificate.subject)
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield x509.RFC822Name._init_without_validation(str(attribute.value))  # noqa: SLF001 - the public constructor refuses what certificates do contain
    try:
        yield from certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return


def _covers(base: x509.GeneralName, name: x509.GeneralName, *, cautious: bool) -> bool:
    """Whether a name lies inside a constraint; in doubt, ``cautious`` is the answer."""
    if type(base) is not type(name):
        return False
    if not isinstance(base, _KINDS):
        return cautious
    return _RULES[type(base)](base.value, name.value, cautious)


def _covers_host(base: str, name: str, cautious: bool) -> bool:
    base, name = base.lower().rstrip("."), name.lower().rstrip(".")
    if not base:
        return True
    suffix = base if base.startswith(".") else f".{base}"
    if name == base or name.endswith(suffix):
        return True
    # A wildcard may stand for a host that is excluded.
    return cautious and name.startswith("*.") and suffix.endswith(name[1:])


def _covers_mail(base: str, name: str, cautious: bool) -> bool:
    mailbox, separator, host = name.rpartition("@")
    if not separator:
        return cautious
    host = host.lower()
    if "@" in base:
        wanted, _, wanted_host = base.rpartition("@")
        return mailbox == wanted and host == wanted_host.lower()
    if base.startswith("."):
        return host.endswith(base.lower())
    return not base or host == base.lower()


def _covers_uri(base: str, name: str, cautious: bool) -> bool:
    try:
        host = urlsplit(name).hostname
    except ValueError:
        host = None
    if not host or ip_address(host) is not None:
        return cautious  # RFC 5280: a URI without a host name cannot satisfy a constraint
    host = host.lower().rstrip(".")
    return host.endswith(base.lower()) if base.startswith(".") else host == base.lower()


def _covers_ip(base: Any, name: Any, cautious: bool) -> bool:
    if not isinstance(base, IPv4Network | IPv6Network) or isinstance(
        name, IPv4Network | IPv6Network
    ):
        return cautious
    return base.version == name.version and name in base


def _covers_directory(base: x509.Name, name: x509.Name, _cautious: bool) -> bool:
    return is_within(name, base)


_RULES: dict[type, Callable[[Any, Any, bool], bool]] = {
    x509.DNSName: _covers_host,
    x509.RFC822Name: _covers_mail,
    x509.UniformResourceIdentifier: _covers_uri,
    x509.IPAddress: _covers_ip,
    x509.DirectoryName: _covers_directory,
}
