"""What requests are answered with: made once per process, found at `app.state.services`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matih_api.admission import Admission
    from matih_api.events import Numbers
    from matih_api.guard.metrics import Metrics
    from matih_api.objects import Objects
    from matih_api.publishing import EventPublisher
    from matih_api.settings import ApiSettings
    from matih_api.writes import Writes


@dataclass(frozen=True)
class Services:
    """All of it.

    Attributes:
        events: the way onto the topic.
        numbers: this process as a producer.
        admission: how much the gateway takes at a time.
        topic: the events' topic.
    """

    settings: ApiSettings
    events: EventPublisher
    objects: Objects
    writes: Writes
    numbers: Numbers
    metrics: Metrics
    admission: Admission
    topic: str
