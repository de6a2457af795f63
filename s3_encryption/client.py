"""S3EncryptionClient: a real boto3 S3 client that encrypts what it writes and decrypts what it reads.

OPERATIONS decides what becomes of every operation: one choke point, ``_make_api_call``, looks there. The methods that
boto3 adds to a client besides its operations are overridden below where they need it.
"""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, overload

from boto3.s3.transfer import TransferConfig
from botocore.client import BaseClient

from ._botocore import ExpectedRequest, NamingObject, state_of, validate, watched
from ._compat.aws import accepts_aws_config
from ._envelope.formats import RESERVED_FIELDS
from ._operations.call import SUFFIX_PARAMETER, Call, Encryption, Params, Send
from ._operations.copy import managed_copy
from ._operations.table import (
    CALL_PARAMETERS,
    OPERATIONS,
    PRESIGNED_READS,
    PRESIGNED_WARNING,
    decision,
    is_unsafe_to_presign,
)
from ._plain_clients import kms_keyring, local_keyring, make_s3_client
from ._settings import KEY_OPTIONS, OPTIONS, Settings, check_one_key, help_of_options, with_options
from ._transfer.download import Download
from ._transfer.seekable import open_object
from ._transfer.upload import FullReader
from .exceptions import (
    ClientClosedError,
    ConfigurationError,
    ConfigurationTypeError,
    S3EncryptionClientError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._compat.aws import S3EncryptionClientConfig
    from ._typing import Client as _Client
    from ._typing import KeywordOptions, Options
else:
    # At run time the base class comes from boto3, when a client is made.
    _Client = object


def _with_options(new: Any) -> Any:
    """Let a constructor's signature name every option."""
    new.__signature__ = with_options(inspect.signature(new))
    return new


class S3EncryptionClient(_Client):
    """A ``boto3.client("s3")`` that encrypts objects before S3 sees them, and decrypts them after download.

    Every method of boto3's client is there, with its own signature. ``put_object``, ``get_object`` and
    ``create_multipart_upload``, and the ``ExtraArgs`` of uploads and downloads, also take ``EncryptionContext`` (KMS; a
    dict of str to str that must be the same on reading) and ``InstructionFileSuffix``; copies and deletes take the
    suffix.

    Args:
        client: An S3 client to build on; it is not changed. Without it, one is made from ``session`` and the remaining
            keywords, which are those of ``boto3.client("s3")``.
        session: The boto3 session that makes the clients; the default session if left out.
        {options}

    Raises:
        ConfigurationError: An option is wrong, or options contradict each other. Nothing has been sent.
    """

    # For each instance, set by __new__.
    _inner: Any
    # One list, whose one element close() takes out, for the client and all views of it.
    _held: list[Encryption]
    _kms_client: Any
    _call_defaults: Params
    _expected: ExpectedRequest | None
    _warns_of_presigned_reads: bool

    @accepts_aws_config
    @_with_options
    def __new__(
        cls,
        client: Any = None,
        *,
        session: Any = None,
        **options: Any,
    ) -> Any:
        keys = {name: options.pop(name, None) for name in KEY_OPTIONS}
        check_one_key(keys)
        settings = Settings(**{name: options.pop(name) for name in OPTIONS if name in options})
        own_keyring = local_keyring(**keys)
        inner = _inner_client(client, session, options)
        keyring, kms_client = (
            (own_keyring, None) if own_keyring is not None else kms_keyring(keys["kms_key_id"], inner, session, options)
        )
        encryption = Encryption.of(keyring, settings, inner)
        self: Any = object.__new__(_class_over(cls, type(inner)))
        self.__dict__.update(state_of(inner))
        # Botocore's own handlers hold weak references to the client that they were made for: it must live as long.
        self._inner = inner
        self._held = [encryption]
        self._kms_client = kms_client
        self._call_defaults = {}
        self._expected = None
        self._warns_of_presigned_reads = True
        return self

    if TYPE_CHECKING:
        # Type checkers look at ``__init__``, where both forms are.
        def __new__(cls, *args: Any, **options: Any) -> Self: ...  # type: ignore[no-redef]

    @overload
    def __init__(self, client: Any = None, **options: Unpack[KeywordOptions]) -> None: ...

    @overload
    def __init__(
        self, wrapped_s3_client: Any, config: S3EncryptionClientConfig, **options: Unpack[Options]
    ) -> None: ...

    def __init__(self, *args: Any, **options: Any) -> None:
        """Do nothing: ``__new__`` has done it all, and the base class must not start anew."""

    # --- its end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections and let go of the keys: later calls raise ClientClosedError, a second close does not.

        As with boto3, what was returned before can be read to its end: bodies, and files of ``open``; and uploads in
        parts that are under way go on with another client of the same key. A client given as ``client`` goes on
        working, with new connections.
        """
        self._held.clear()
        if self._kms_client is not None:
            self._kms_client.close()
        super().close()

    def __enter__(self) -> Self:
        """Return the client itself, which is closed at the end of the ``with``."""
        self._check_open()
        return self

    def __exit__(self, *error: object) -> None:
        """Close the client."""
        self.close()

    @property
    def _encryption(self) -> Encryption:
        for encryption in self._held:
            return encryption
        raise ClientClosedError

    def _check_open(self) -> None:
        if not self._held:
            raise ClientClosedError

    # --- operations ---------------------------------------------------------------------------------------------------

    def _make_api_call(self, operation_name: str, api_params: Params) -> Any:
        model = self.meta.service_model.operation_model(operation_name)
        operation = OPERATIONS.get(operation_name) or decision(model)
        if operation.decision == "pass" and self._held:
            return super()._make_api_call(operation_name, api_params)
        with NamingObject(api_params.get("Bucket"), api_params.get("Key")):
            self._check_open()
            if operation.function is None:
                raise UnsupportedOperationError(f"{operation_name} is refused. {operation.reason}")
            call = self._call(self._send, api_params, operation.extra)
            if operation.decision != "decrypt":
                validate(self.__dict__, model, call.params)
            return operation.function(call)

    def _call(self, send: Send, params: Params, extra: tuple[str, ...] = CALL_PARAMETERS) -> Call:
        """Return a call with these parameters, among which may be those in ``extra``."""
        own = {**self._call_defaults, **params}
        context, suffix = (own.get(name) if name in extra else None for name in CALL_PARAMETERS)
        boto3s = {name: value for name, value in params.items() if name not in extra}
        call = Call(self._encryption, send, boto3s, context, suffix)
        if suffix is not None:
            call.check_suffix()
        return call

    def _send(self, operation_name: str, params: Params) -> Any:
        """Send a request as it is, and let nothing of it be changed on the way."""
        if "Body" in params or "Metadata" in params:
            expected = ExpectedRequest(params, RESERVED_FIELDS)
            client = self._view(_expected=expected, **watched(self.__dict__, expected))
            response = super(S3EncryptionClient, client)._make_api_call(operation_name, params)
            expected.check_sent()
            return response
        return super()._make_api_call(operation_name, params)

    def _convert_to_request_dict(self, api_params: Params, *model: Any, **more: Any) -> Any:
        if self._expected is not None:
            api_params = self._expected.with_checksum(api_params, self._encryption.default_checksum)
        return super()._convert_to_request_dict(api_params, *model, **more)

    def _make_request(self, operation_model: Any, request_dict: dict[str, Any], *context: Any, **more: Any) -> Any:
        request = request_dict if self._expected is None else self._expected.prepared(request_dict)
        return super()._make_request(operation_model, request, *context, **more)

    # --- what boto3 adds to the operations ----------------------------------------------------------------------------

    def upload_file(
        self,
        Filename: Any,
        Bucket: str,
        Key: str,
        ExtraArgs: Mapping[str, Any] | None = None,
        Callback: Any = None,
        Config: Any = None,
    ) -> None:
        """Upload a file encrypted, as boto3's ``upload_file`` does: in parallel parts where it is large."""
        client, extra_args = self._for_transfer(ExtraArgs)
        super(S3EncryptionClient, client).upload_file(Filename, Bucket, Key, extra_args, Callback, Config)

    def upload_fileobj(
        self,
        Fileobj: Any,
        Bucket: str,
        Key: str,
        ExtraArgs: Mapping[str, Any] | None = None,
        Callback: Any = None,
        Config: Any = None,
    ) -> None:
        """Upload a file-like object encrypted, as boto3's ``upload_fileobj`` does."""
        client, extra_args = self._for_transfer(ExtraArgs)
        source = FullReader(Fileobj) if callable(getattr(Fileobj, "read", None)) else Fileobj
        with NamingObject(Bucket, Key):
            super(S3EncryptionClient, client).upload_fileobj(source, Bucket, Key, extra_args, Callback, Config)

    def download_file(
        self,
        Bucket: str,
        Key: str,
        Filename: Any,
        ExtraArgs: Mapping[str, Any] | None = None,
        Callback: Any = None,
        Config: Any = None,
    ) -> None:
        """Download an object into a file, in parallel ranges if it is large; the file appears when all is verified."""
        with NamingObject(Bucket, Key):
            self._download(Bucket, Key, ExtraArgs, Callback, Config).into_file(Filename)

    def download_fileobj(
        self,
        Bucket: str,
        Key: str,
        Fileobj: Any,
        ExtraArgs: Mapping[str, Any] | None = None,
        Callback: Any = None,
        Config: Any = None,
    ) -> None:
        """Download an object into a file-like object, which gets what get_object would release."""
        with NamingObject(Bucket, Key):
            self._download(Bucket, Key, ExtraArgs, Callback, Config).into_fileobj(Fileobj)

    def _view(self, **state: Any) -> Any:
        """Return the same client for one call, with some state of that call in the place of the client's.

        Several threads may call at once, so a call's state can't be the client's own; and botocore hands nothing of a
        call to ``_make_request``.
        """
        client: Any = object.__new__(type(self))
        client.__dict__.update(self.__dict__, **state)
        return client

    def _for_transfer(self, extra_args: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any] | None]:
        """Return a client that adds a call's extra parameters, which s3transfer doesn't know, and the others."""
        if not extra_args or extra_args.keys().isdisjoint(CALL_PARAMETERS):
            return self, None if extra_args is None else dict(extra_args)
        client = self._view(_call_defaults={name: extra_args[name] for name in CALL_PARAMETERS if name in extra_args})
        return client, {name: value for name, value in extra_args.items() if name not in CALL_PARAMETERS}

    def _download(self, bucket: str, key: str, extra_args: Any, callback: Any, config: Any) -> Download:
        client, extra_args = self._for_transfer(extra_args)
        call = client._call(self._inner._make_api_call, {"Bucket": bucket, "Key": key, **(extra_args or {})})
        return Download(client, self._inner, call, extra_args or {}, callback, config or TransferConfig())

    def open(self, Bucket: str, Key: str, **params: Any) -> io.BufferedReader:
        """Return an object as a seekable binary file, for whatever needs to seek: zipfile, tarfile, pandas, pyarrow.

        With ``enable_unauthenticated_ranges`` only what is read is fetched, in ranges that nothing verifies. Otherwise
        the first read fetches the whole ciphertext and verifies it; what is beyond ``buffer_size`` is kept in a
        temporary file, as ciphertext. The object is pinned by its ETag, and its data key is unwrapped once.

        Args:
            Bucket: The bucket's name.
            Key: The object's key.
            params: Further parameters of ``get_object``: VersionId, EncryptionContext, SSECustomerKey ...
        """
        with NamingObject(Bucket, Key):
            return open_object(self._call(self._inner._make_api_call, {"Bucket": Bucket, "Key": Key, **params}))

    def copy(
        self,
        CopySource: Any,
        Bucket: str,
        Key: str,
        ExtraArgs: Mapping[str, Any] | None = None,
        Callback: Any = None,
        SourceClient: Any = None,
        Config: Any = None,
    ) -> None:
        """Copy an object inside S3, as boto3's ``copy`` does: the copy has its source's envelope."""
        source_client = SourceClient._inner if isinstance(SourceClient, S3EncryptionClient) else SourceClient
        target = {"CopySource": CopySource, "Bucket": Bucket, "Key": Key}
        with NamingObject(Bucket, Key):
            # On the inner clients: this one tells plaintext lengths, which would cut off the end of the ciphertext.
            extra_args = dict(ExtraArgs or {})
            suffix = {SUFFIX_PARAMETER: extra_args.pop(SUFFIX_PARAMETER, None)}
            managed_copy(
                self._call(self._inner._make_api_call, {**target, **suffix}),
                extra_args,
                lambda kept: self._inner.copy(CopySource, Bucket, Key, kept, Callback, source_client, Config),
                (source_client or self._inner)._make_api_call,
            )

    def generate_presigned_url(
        self,
        ClientMethod: str,
        Params: Mapping[str, Any] | None = None,
        ExpiresIn: int = 3600,
        HttpMethod: str | None = None,
    ) -> Any:
        """Return a presigned URL for a read, which yields ciphertext; URLs for writes are refused, unless opted in."""
        signs_uploads = self._encryption.settings.enable_plaintext_presigned_uploads
        if not signs_uploads and is_unsafe_to_presign(ClientMethod, self.meta):
            raise _presigned_refused(ClientMethod)
        if ClientMethod in PRESIGNED_READS and self._warns_of_presigned_reads:
            self._warns_of_presigned_reads = False
            warnings.warn(PRESIGNED_WARNING, stacklevel=2)
        return self._inner.generate_presigned_url(ClientMethod, Params, ExpiresIn, HttpMethod)

    def generate_presigned_post(
        self,
        Bucket: str,
        Key: str,
        Fields: Mapping[str, Any] | None = None,
        Conditions: Any = None,
        ExpiresIn: int = 3600,
    ) -> Any:
        """Refuse, unless opted in: what a browser posts is stored unencrypted."""
        if not self._encryption.settings.enable_plaintext_presigned_uploads:
            raise _presigned_refused("POST").about(Bucket, Key)
        return self._inner.generate_presigned_post(Bucket, Key, Fields, Conditions, ExpiresIn)

    def _get_credentials(self) -> None:
        # boto3 asks for these only to hand transfers to the CRT client, which knows nothing of encryption. Without
        # credentials it stays with the transfer manager that calls this client.
        return None

    # --- as an object -------------------------------------------------------------------------------------------------

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("An S3EncryptionClient can't be pickled or copied: make one in each process.")


if S3EncryptionClient.__doc__ is not None:
    S3EncryptionClient.__doc__ = S3EncryptionClient.__doc__.replace("        {options}", help_of_options(" " * 8))


def _class_over(cls: type, base: type) -> type:
    """Return the class of an encrypting client over the class that boto3 has made for one ordinary client."""
    return type(cls.__name__, (cls, base), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def _inner_client(client: Any, session: Any, client_options: Mapping[str, Any]) -> Any:
    if session is not None and (isinstance(session, type) or not callable(getattr(session, "client", None))):
        raise ConfigurationTypeError(f"session must be a boto3 session, not {type(session).__name__}.")
    if client is None:
        return make_s3_client(session, client_options)
    if client_options:
        raise ConfigurationError(
            f"With client=, the options {sorted(client_options)} have no use: they are for making one."
        )
    if isinstance(client, S3EncryptionClient):
        raise ConfigurationError(
            "The client encrypts already; encrypting twice would make objects nobody else can read."
        )
    if not isinstance(client, BaseClient) or client.meta.service_model.service_name != "s3":
        raise ConfigurationTypeError(f"client must be a boto3.client('s3'), not {type(client).__name__}.")
    return client


def _presigned_refused(what: str) -> S3EncryptionClientError:
    return UnsupportedOperationError(
        f"A presigned {what} would let its user store an object unencrypted. "
        "Use put_object here. Where plaintext is meant, enable_plaintext_presigned_uploads=True signs it."
    )
