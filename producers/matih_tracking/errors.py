"""What the SDK raises on purpose. In a training run: what `strict` or `resume` ask for, and wrong use of the API."""

from __future__ import annotations

from matih_schemas.errors import MatihError


class TrackingError(MatihError):
    """The root of the SDK's own errors."""


class BadInput(TrackingError, ValueError):
    """Strict mode only: something logged had to be mended or dropped; nothing of that call was logged."""


class TrackingUnavailable(TrackingError, RuntimeError):
    """Strict mode only: what was logged can't be kept on this machine; the message says what to do."""


class RunNotFound(TrackingError, LookupError):
    """MLflow was asked, and has no such run."""


class RunExists(TrackingError):
    """`resume="never"`: MLflow was asked, and has the run already."""


class ExperimentNotFound(TrackingError, LookupError):
    """MLflow was asked, and the tenant has no such experiment."""


class NotSupported(TrackingError, NotImplementedError):
    """A value that this release does not know yet; the message names those it does."""
