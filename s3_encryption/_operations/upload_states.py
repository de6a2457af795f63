"""The states of a multipart upload: UPLOAD_TRANSITIONS says which event leads from which to which."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class UploadState(enum.Enum):
    """What has become of an upload so far."""

    OPEN = "parts come in"
    TAGGED = "the list of its parts is settled, because its tag may be made: no part can be added"
    COMPLETED = "S3 has made the object; its instruction file may be missing"
    ABORTED = "nobody may go on"


class UploadEvent(enum.Enum):
    """What can happen to an upload."""

    TAG = "its tag is asked for"
    COMPLETE = "S3 has completed it"
    ABORT = "it is aborted"


_U, _V = UploadState, UploadEvent
UPLOAD_TRANSITIONS: Mapping[UploadState, Mapping[UploadEvent, UploadState]] = {
    _U.OPEN: {_V.TAG: _U.TAGGED, _V.ABORT: _U.ABORTED},
    _U.TAGGED: {_V.TAG: _U.TAGGED, _V.COMPLETE: _U.COMPLETED, _V.ABORT: _U.ABORTED},
    _U.COMPLETED: {_V.TAG: _U.COMPLETED, _V.COMPLETE: _U.COMPLETED, _V.ABORT: _U.ABORTED},
    _U.ABORTED: {_V.ABORT: _U.ABORTED},
}
