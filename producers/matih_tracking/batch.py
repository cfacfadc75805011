"""What `log_batch` takes, in the forms that MLflow's client and the REST API have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from matih_tracking.configs import RunMetrics


class Step(NamedTuple):
    """Metrics of one step and time, as somebody gave them."""

    metrics: dict[Any, Any]
    step: Any
    timestamp: Any


def steps(given: object) -> Iterator[Step]:
    """The metrics of a batch in their order: a mapping, a RunMetrics, or items with key, value, step and timestamp."""
    if given is None:
        return
    if isinstance(given, Mapping):
        yield Step(dict(given), None, None)
    elif isinstance(given, RunMetrics):
        yield Step(given.metrics, given.step, given.timestamp)
    elif isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        yield from _grouped(given)
    else:
        yield Step(given, None, None)  # type: ignore[arg-type]  # mend.py says what is wrong with it


def pairs(given: object) -> object:
    """Params or tags of a batch as a mapping; anything else as it is."""
    if given is None:
        return {}
    if isinstance(given, Mapping) or not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        return given
    return {_of(item, "key"): _of(item, "value") for item in given}


def _grouped(items: Iterable[Any]) -> Iterator[Step]:
    """Neighbours of one step and time go together, until a key comes again."""
    current: Step | None = None
    for item in items:
        if isinstance(item, RunMetrics):
            if current is not None:
                yield current
            yield Step(item.metrics, item.step, item.timestamp)
            current = None
            continue
        key, value, step, timestamp = (_of(item, name) for name in ("key", "value", "step", "timestamp"))
        if (
            current is not None
            and (current.step, current.timestamp) == (step, timestamp)
            and key not in current.metrics
        ):
            current.metrics[key] = value
            continue
        if current is not None:
            yield current
        current = Step({key: value}, step, timestamp)
    if current is not None:
        yield current


def _of(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)
