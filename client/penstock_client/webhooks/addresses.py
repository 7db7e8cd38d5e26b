"""Pure: which addresses a webhook may lead to. Asked where one is submitted and where it is sent.

Whoever may submit a job chooses where Penstock connects to. So addresses that are not public are
refused (this machine, private networks, the metadata services of clouds), unless the settings allow
them: then they are allowed, and over plain HTTP too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from penstock_schemas.errors import InvalidJob

#: Says whether webhooks may lead to private addresses.
PRIVATE_VARIABLE = "PENSTOCK_WEBHOOK_PRIVATE"
Private = Literal["refuse", "allow"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_THIS_MACHINE = (".localhost", ".local", ".internal")


def is_public(address: Address) -> bool:
    """Whether an address is anybody's; one that carries an IPv4 address is as public as that."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def allowed(addresses: Iterable[Address], *, scheme: str, private: Private) -> list[Address]:
    """Those of a host's addresses that may be connected to, in their order."""
    return [
        address
        for address in addresses
        if (scheme == "https" if is_public(address) else private == "allow")
    ]


def check_webhook(url: str, *, private: Private) -> None:
    """Refuse early what a steward would not send to; raises InvalidJob that says why.

    What a host's name leads to is only known when it is sent.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if private == "allow":
        address = literal(host)
        if address is not None and is_public(address) and parts.scheme != "https":
            raise InvalidJob("webhook: a public address needs https://", field="webhook")
        return
    if parts.scheme != "https":
        raise InvalidJob(
            "webhook: must begin with https://; http:// is for private addresses, which "
            f"{PRIVATE_VARIABLE}=allow allows",
            field="webhook",
        )
    address = literal(host)
    private_name = host == "localhost" or host.endswith(_THIS_MACHINE)
    if private_name or (address is not None and not is_public(address)):
        raise InvalidJob(
            f"webhook: {host} is not public; {PRIVATE_VARIABLE}=allow allows private addresses",
            field="webhook",
        )


def literal(host: str) -> Address | None:
    """A host that is an address; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
