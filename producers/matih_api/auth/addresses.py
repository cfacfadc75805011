"""Which addresses reach this machine only."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on that host: `localhost`, 127.0.0.0/8, ::1.

    Other names are not looked up: what they lead to may change after the question.
    """
    bare = host.strip().removeprefix("[").removesuffix("]").lower()
    if bare in ("localhost", "localhost."):
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
