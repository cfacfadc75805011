"""Who writes: what every journal of this process says about it."""

from __future__ import annotations

import socket
from typing import NamedTuple

from matih_tracking.mend import clean
from matih_tracking.provenance import user

SDK_VERSION = "0.0.1"
"""The release of the distribution; a test holds it against the metadata, whose reading takes too long to do here."""


class Origin(NamedTuple):
    """The user as the system knows him, the host's name, and the SDK's release."""

    user: str
    host: str
    sdk_version: str = SDK_VERSION


def origin() -> Origin:
    """This process's."""
    return Origin(clean(user()) or "", clean(socket.gethostname()) or "")
