"""Every error that dpdau raises on purpose, in one tree.

Each class carries what went wrong as attributes, an HTTP status, a process exit code and a
message that says what happened, with which value, and what to do. No message ever holds a user
id, a true count or anything else that depends on the activity data.
"""

from dpdau.errors.access import (
    ForbiddenError,
    OverloadedError,
    RateLimitedError,
    ServerUnreachableError,
    UnauthorizedError,
)
from dpdau.errors.base import DpdauError
from dpdau.errors.broker import (
    BrokerRefusedError,
    BrokerSetupError,
    BrokerUnreachableError,
    ExtraMissingError,
    PartitionTakenError,
)
from dpdau.errors.connections import (
    CrossSiteError,
    HeadTooLargeError,
    HostRefusedError,
    MalformedRequestError,
    RequestTimeoutError,
    TooManyAtOnceError,
)
from dpdau.errors.input import (
    BatchTooLargeError,
    EventsRefusedError,
    FileUnreadableError,
    IncompatibleSketchError,
    InputError,
    InvalidValueError,
    MalformedBodyError,
    RequestKeyReusedError,
    RouteNotFoundError,
    UnknownMetricError,
    UnsupportedMediaTypeError,
)
from dpdau.errors.releases import (
    BudgetExhaustedError,
    CalibrationError,
    DayOpenError,
    DayOutOfRangeError,
    ErasureNotFoundError,
    ErasureUnfinishedError,
    InvalidPlanError,
    LedgerDamagedError,
    LedgerRolledBackError,
    ReleaseNotFoundError,
)
from dpdau.errors.settings import SettingsError
from dpdau.errors.store import (
    BackupError,
    JournalDamagedError,
    PositionMovedError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreVersionError,
    WrongSecretError,
)

__all__ = [
    "BackupError",
    "BatchTooLargeError",
    "BrokerRefusedError",
    "BrokerSetupError",
    "BrokerUnreachableError",
    "BudgetExhaustedError",
    "CalibrationError",
    "CrossSiteError",
    "DayOpenError",
    "DayOutOfRangeError",
    "DpdauError",
    "ErasureNotFoundError",
    "ErasureUnfinishedError",
    "EventsRefusedError",
    "ExtraMissingError",
    "FileUnreadableError",
    "ForbiddenError",
    "HeadTooLargeError",
    "HostRefusedError",
    "IncompatibleSketchError",
    "InputError",
    "InvalidPlanError",
    "InvalidValueError",
    "JournalDamagedError",
    "LedgerDamagedError",
    "LedgerRolledBackError",
    "MalformedBodyError",
    "MalformedRequestError",
    "OverloadedError",
    "PartitionTakenError",
    "PositionMovedError",
    "RateLimitedError",
    "ReleaseNotFoundError",
    "RequestKeyReusedError",
    "RequestTimeoutError",
    "RouteNotFoundError",
    "ServerUnreachableError",
    "SettingsError",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreVersionError",
    "TooManyAtOnceError",
    "UnauthorizedError",
    "UnknownMetricError",
    "UnsupportedMediaTypeError",
    "WrongSecretError",
]
