"""Every private name of botocore, boto3 and s3transfer that this package touches, each with what happens without it.

A name that a later version does not have any more never opens a hole. What only makes things faster falls away; what
the leak guard stands on is refused, in words that say why.
"""

from __future__ import annotations

import importlib
import inspect
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.client
import botocore.session
from botocore.client import BaseClient
from botocore.exceptions import HTTPClientError, ParamValidationError

from .exceptions import S3EncryptionClientError, UnsupportedOperationError

_TOO_NEW = (
    "This botocore or boto3 is newer than this version of s3-encryption-client knows: {}. Install a newer "
    "s3-encryption-client, or an older boto3."
)


def _found(module: str, name: str, default: Any = None) -> Any:
    """Return what a module of boto's has by a name; a default where it has no such name, or is not there."""
    try:
        return getattr(importlib.import_module(module), name, default)
    except ImportError:
        return default


# --- the leak guard ---------------------------------------------------------------------------------------------------


def check_guard() -> None:
    """Check, when the package is imported, that botocore still calls what the leak guard stands on.

    BaseClient._make_api_call, where somebody's own is in its place, may call anything: there every request is watched
    (``SendingView``), as it is anyway.

    Raises:
        ImportError: It calls something else.
    """
    call = inspect.unwrap(getattr(BaseClient, "_make_api_call", None))  # type: ignore[arg-type]
    is_botocores = getattr(call, "__module__", None) == BaseClient.__module__
    calls = getattr(getattr(call, "__code__", None), "co_names", ())
    is_called = any("_make_api_call" in names for names in _names_used_by(vars(botocore.client).values()))
    is_guarded = hasattr(BaseClient, "_make_request") and ("_make_request" in calls or not is_botocores)
    if call is None or not is_called or not is_guarded:
        raise ImportError(_TOO_NEW.format("its clients send requests in another way"))
    # With the CRT installed, boto3 would hand whole transfers to it, past this package. It asks for the client's
    # credentials first, and gets none.
    compatible = _found("boto3.crt", "is_crt_compatible_request")
    if compatible is not None and "_get_credentials" not in inspect.unwrap(compatible).__code__.co_names:
        raise ImportError(_TOO_NEW.format("its fast transfers choose their client in another way"))


def _names_used_by(things: Iterable[Any]) -> Iterator[tuple[str, ...]]:
    """Yield the names that code uses: of functions, of classes' methods, and of functions within these."""
    for thing in things:
        if inspect.isclass(thing) and thing.__module__ == botocore.client.__name__:
            yield from _names_used_by(vars(thing).values())
        code = thing if inspect.iscode(thing) else getattr(thing, "__code__", None)
        if inspect.iscode(code):
            yield code.co_names
            yield from _names_used_by(code.co_consts)


_ChecksumBody = _found("botocore.httpchecksum", "StreamingChecksumBody")


class ExpectedRequest:
    """What was made for one request: its body, and the headers of the envelope. Event handlers may change neither.

    Args:
        params: The parameters of the request.
        envelope_fields: The names that metadata of the envelope may have.
    """

    __slots__ = ("_body", "_headers", "is_checked", "is_watched")

    def __init__(self, params: Mapping[str, Any], envelope_fields: frozenset[str]) -> None:
        metadata = params.get("Metadata") or {}
        self._headers = {
            f"x-amz-meta-{name}": text for name, text in metadata.items() if name.lower() in envelope_fields
        }
        self._body = params.get("Body")
        self.is_checked = False
        self.is_watched = False

    def with_checksum(self, params: dict[str, Any], default: str | None) -> dict[str, Any]:
        """Return the parameters as event handlers have left them, with the checksum that the body brings along.

        Not earlier: a handler may name another algorithm. Where botocore does not ask, it computes the checksum itself.
        """
        add = getattr(self._body, "with_checksum", None)
        return params if add is None else add(params, default)

    def prepared(self, request: dict[str, Any]) -> dict[str, Any]:
        """Check that it is in a request of botocore's, and return the request to send.

        Raises:
            UnsupportedOperationError: An event handler has put something else there.
        """
        headers = request["headers"]
        if any(headers.get(name) != text for name, text in self._headers.items()):
            raise UnsupportedOperationError(
                "An event handler has removed or changed the object's envelope, so that nobody could read the object. "
                'Let the handler add to params["Metadata"], and not replace it.'
            )
        body = request["body"]
        if self._body is not None and not _is_or_wraps(body, self._body):
            if not hasattr(body, "_raw") and type(body).__module__.startswith("botocore."):
                raise UnsupportedOperationError(_TOO_NEW.format("it wraps the body of a request in another way"))
            raise UnsupportedOperationError(
                "An event handler has replaced the encrypted body, and what it put there would be stored as it is. "
                "Change the Body before it is given to this client."
            )
        self.is_checked = True
        return request if self._body is None else self._to_send(request)

    def check_sent(self) -> None:
        """Check, after the call, that nothing can have gone out past ``prepared``.

        Where the endpoint is watched, nothing has: whoever answers calls himself, as botocore's Stubber does, sends
        nothing.

        Raises:
            UnsupportedOperationError: Something may have been sent that was never looked at.
        """
        if not self.is_checked and not self.is_watched:
            raise UnsupportedOperationError(_TOO_NEW.format("it sent a request past the check of its body"))

    def _to_send(self, request: dict[str, Any]) -> dict[str, Any]:
        body, headers = request["body"], request["headers"]
        if isinstance(self._body, io.BytesIO):
            # A small one: not worth the question whether it may be sent ("Expect: 100-continue").
            content = self._body.getvalue() if body is self._body else body
            _let_checksum_stand_for_signature(request)
            return {**request, "body": content, "headers": _without("Expect", headers)}
        # Without the name: botocore's own wrapper goes out, which is slower.
        is_wrapped = body is not self._body and getattr(body, "_checksum_name", "") == "x-amz-checksum-crc32"
        in_chunks = getattr(self._body, "in_chunks", None)
        if not is_wrapped or in_chunks is None:
            return request
        replacement = in_chunks()
        length = {"Content-Length": str(len(replacement))}
        return {**request, "body": replacement, "headers": {**_without("Transfer-Encoding", headers), **length}}


def _let_checksum_stand_for_signature(request: Mapping[str, Any]) -> None:
    """Tell botocore's signer of a checksum that is in a header already, as it knows of those that it makes itself.

    Over TLS it then leaves out the SHA-256 of the body, which costs more than all else that is done with 1 MiB, and
    which plain puts don't send either. Where the signer asks in another way, it signs the body as well.
    """
    name = "x-amz-checksum-crc32"
    context = request.get("context")
    if name in request["headers"] and isinstance(context, dict):
        known = context.setdefault("checksum", {})
        known.setdefault("request_algorithm", {"algorithm": "crc32", "in": "header", "name": name})


def _is_or_wraps(body: Any, expected: Any) -> bool:
    """Return whether a body is the expected one, or botocore's wrapper around it, whatever the names of both are."""
    is_wrapper = type(body).__module__ == "botocore.httpchecksum"
    held = getattr(body, "__dict__", {}).values() if is_wrapper else ()
    return body is expected or any(value is expected for value in held)


def _without(unwanted: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != unwanted}


class _WatchedEndpoint:
    """A client's endpoint for one request, which lets nothing out that the guard has not seen."""

    __slots__ = ("_endpoint", "_expected")

    def __init__(self, endpoint: Any, expected: ExpectedRequest) -> None:
        self._endpoint = endpoint
        self._expected = expected

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._endpoint, name)
        # Whatever the method is called that sends. What is no method is read by libraries that trace calls.
        if callable(found) and not self._expected.is_checked:
            raise UnsupportedOperationError(_TOO_NEW.format("it sends requests past the check of their bodies"))
        return found


def watched(client_state: Mapping[str, Any], expected: ExpectedRequest) -> dict[str, Any]:
    """Return what takes the place of a client's endpoint in its state, for one request.

    Without the name ``_endpoint``: nothing. Whether the guard has run is then asked after the call, and also calls that
    somebody answers himself are refused.
    """
    endpoint = client_state.get("_endpoint")
    if endpoint is None:
        return {}
    expected.is_watched = True
    return {"_endpoint": _WatchedEndpoint(endpoint, expected)}


def state_of(client: Any) -> dict[str, Any]:
    """Return the state of a client, without what somebody has put over its methods.

    In a client that encrypts it would stand over the methods that do so.
    """
    made = type(client)
    return {name: value for name, value in vars(client).items() if not callable(getattr(made, name, None))}


class NamingObject:
    """A context in which this library's errors say what object they are about, freed from botocore's wrapping."""

    __slots__ = ("_bucket", "_key")

    def __init__(self, bucket: object, key: object) -> None:
        self._bucket = bucket
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, S3EncryptionClientError):
            error.about(self._bucket, self._key)
        elif isinstance(error, HTTPClientError):
            # What a body raises while it is sent, botocore wraps, as if the network had failed. Without the name:
            # Python itself knows what was being handled.
            raised_by_body = getattr(error, "kwargs", {}).get("error", error.__context__)
            if isinstance(raised_by_body, S3EncryptionClientError):
                raise raised_by_body.about(self._bucket, self._key) from None


# --- parameters -------------------------------------------------------------------------------------------------------

# Without one of these, botocore itself refuses wrong parameters, only later.
_Validator = _found("botocore.validate", "ParamValidator")
_Emitter = _found("botocore.hooks", "HierarchicalEmitter")
_ValidationDecorator = _found("botocore.validate", "ParamValidationDecorator")


def _botocores_own_handlers() -> Any:
    handlers = list(_handlers_of_parameters())
    if _Emitter is None or not handlers:
        return None
    emitter = _Emitter()
    for event, handler in handlers:
        emitter.register(event, handler)
    return emitter


def _handlers_of_parameters() -> Iterator[tuple[str, Any]]:
    for entry in _found("botocore.handlers", "BUILTIN_HANDLERS", ()):
        if isinstance(entry, Sequence) and len(entry) >= 2 and str(entry[0]).startswith("before-parameter-build.s3"):
            yield entry[0], entry[1]


_BOTOCORES_OWN = _botocores_own_handlers()


def validate(client_state: Mapping[str, Any], model: Any, params: Mapping[str, Any]) -> None:
    """Let botocore refuse wrong parameters in its own words, before anything else is done with them.

    Its own event handlers come first, as in a real call: they encode customer keys, and check bucket names and
    metadata. The client's other handlers are the user's, and are to see ciphertext only. A client that does not
    validate (its Config is not told here, only its serializer shows it) is left alone.

    Raises:
        ParamValidationError: As plain boto3 would raise it.
    """
    validates = _ValidationDecorator is None or isinstance(client_state.get("_serializer"), _ValidationDecorator)
    if not validates or _Validator is None or _BOTOCORES_OWN is None:
        return
    built = dict(params)
    _BOTOCORES_OWN.emit(f"before-parameter-build.s3.{model.name}", params=built, model=model, context={})
    # A handler may have made a file of the body; the caller's own is what must be of a right type.
    given = {**built, "Body": params["Body"]} if "Body" in params else built
    report = _Validator().validate(given, model.input_shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


# --- answers ----------------------------------------------------------------------------------------------------------


def replace_checksum(body: Any, replacement: Callable[[Any], Any]) -> None:
    """Let the checksum of a response body be computed by something else than botocore's object for it.

    Without the name: botocore computes it where it does.
    """
    if type(body) is _ChecksumBody and "_checksum" in vars(body):
        body._checksum = replacement(body._checksum)


# Stands where botocore looks for the socket of a response that has come to its end: nobody waits for it any more.
_ENDED = SimpleNamespace(
    fp=SimpleNamespace(raw=SimpleNamespace(_sock=SimpleNamespace(settimeout=lambda seconds: None)))
)


def file_below(body: Any) -> Any:
    """Return the file that a response body is read from, for ``set_socket_timeout``.

    Raises:
        UnsupportedOperationError: Botocore's own name for it is another.
    """
    if not hasattr(body, "_raw_stream"):
        raise UnsupportedOperationError(_TOO_NEW.format("the socket of a response can't be found"))
    file = body._raw_stream._fp
    return _ENDED if getattr(file, "fp", file) is None else file


# --- clients and sessions ---------------------------------------------------------------------------------------------


def session_of(client: Any) -> boto3.Session:
    """Return a session with a client's own credentials, so that other services see the same caller.

    Raises:
        UnsupportedOperationError: They can't be had: another identity must not take their place.
    """
    core = botocore.session.get_session()
    get_credentials = getattr(client, "_get_credentials", None)
    if get_credentials is None or not hasattr(core, "_credentials"):
        raise UnsupportedOperationError(
            _TOO_NEW.format("a client's credentials can't be found. Or pass keyring=KmsKeyring(kms_client, kms_key_id)")
        )
    # Not set_credentials(): that would freeze credentials that refresh themselves.
    core._credentials = credentials = get_credentials()
    if credentials is not None and core.get_credentials() is not credentials:
        raise UnsupportedOperationError(_TOO_NEW.format("its sessions keep credentials in another way"))
    return boto3.Session(botocore_session=core)


# --- transfers --------------------------------------------------------------------------------------------------------

_Manager = _found("s3transfer.manager", "TransferManager")
_BOTO3S_MAKER = _found("boto3.s3.transfer", "create_transfer_manager")
# Without them: S3 refuses what is wrong, in its own words.
UNSUPPORTED_BUCKETS: Mapping[str, Any] = getattr(_Manager, "_UNSUPPORTED_BUCKET_PATTERNS", {})
ALLOWED_DOWNLOAD_ARGS: Sequence[str] | None = getattr(_Manager, "ALLOWED_DOWNLOAD_ARGS", None)
# The error of s3transfer for an object that changed while it was fetched. Older versions, which don't pin what they
# download, have none: there it is S3's own.
DOWNLOAD_FAILED: Any = _found("s3transfer.exceptions", "S3DownloadFailedError")
# After which errors a download is tried again. Without the name: after none.
RETRYABLE_DOWNLOAD_ERRORS: Any = _found("s3transfer.utils", "S3_RETRYABLE_DOWNLOAD_ERRORS", ())
# Older versions of s3transfer lose the metadata of what they copy in parts, unless they are given it; to newer ones it
# does no harm.
MANAGED_COPIES_KEEP_METADATA = hasattr(_found("s3transfer.copies", "CopySubmissionTask"), "PRESERVED_METADATA_FIELDS")


def transfer_manager(client: Any, config: Any) -> Any:
    """Return what runs a client's transfers, as boto3 makes it; without the name, as s3transfer's own does it.

    Raises:
        UnsupportedOperationError: There is neither.
    """
    make = _BOTO3S_MAKER or _Manager
    if make is None:
        raise UnsupportedOperationError(_TOO_NEW.format("it makes no managers of transfers"))
    return make(client, config)


def provide_etag(future: Any, etag: str | None) -> None:
    """Tell a transfer the ETag of the object that it fetches, so that it pins its ranges.

    Without the name: the client pins them (``PinnedClient``).
    """
    if PINS_DOWNLOADS and etag is not None:
        future.meta.provide_object_etag(etag)


PINS_DOWNLOADS = hasattr(_found("s3transfer.futures", "TransferMeta"), "provide_object_etag")


class PinnedClient:
    """A client all of whose reads are of the object with an ETag, for transfers that don't see to that."""

    def __init__(self, client: Any, etag: str) -> None:
        self._client = client
        self._etag = etag

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, **params: Any) -> Any:
        """Get the object, or a range of it."""
        return self._client.get_object(**{**params, "IfMatch": self._etag})


def client_for_download(client: Any, etag: str | None) -> Any:
    """Return the client that a transfer is to fetch an object with."""
    return client if PINS_DOWNLOADS or etag is None else PinnedClient(client, etag)


check_guard()
