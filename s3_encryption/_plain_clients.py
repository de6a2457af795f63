"""The ordinary clients underneath, and the keyring that a client's options name, with a KMS client of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config

from ._botocore import session_of
from ._keys.keyring import Keyring
from ._keys.kms import KmsKeyring
from ._keys.raw import AesKeyring, RsaKeyring
from .exceptions import ConfigurationTypeError

# The boto3.client options that say who calls and how the network is reached; endpoint_url is S3's own.
_SHARED_OPTIONS = (
    "verify",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_account_id",
)
_SHARED_CONFIG = (
    "connect_timeout",
    "read_timeout",
    "max_pool_connections",
    "tcp_keepalive",
    "client_cert",
    "proxies",
    "proxies_config",
    "retries",
    "user_agent_extra",
    "use_fips_endpoint",
)


def plain_client_maker(session: Any) -> Callable[..., Any]:
    """Return what makes ordinary clients in a session (None: the default session), also where that one encrypts."""
    owner = session or boto3.DEFAULT_SESSION
    # S3EncryptionSession overrides client() and keeps the ordinary one under this name.
    make: Callable[..., Any] = getattr(owner, "_plain_client", None) or (owner or boto3).client
    return make


def make_s3_client(session: Any, client_options: Mapping[str, Any]) -> Any:
    """Return an ordinary S3 client.

    Raises:
        ConfigurationTypeError: An option is not one of ``boto3.client("s3")``.
    """
    try:
        return plain_client_maker(session)("s3", **client_options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise ConfigurationTypeError(
            f"Neither this client nor boto3.client('s3') knows such an option: {error}."
        ) from None


def local_keyring(keyring: Keyring | None, aes_key: bytes | None, rsa_key: Any, kms_key_id: object) -> Keyring | None:
    """Return the keyring that the options name; None where it is yet to be made, for a KMS key."""
    if aes_key is not None:
        return AesKeyring(aes_key)
    if rsa_key is not None:
        return RsaKeyring(rsa_key)
    return keyring


def kms_keyring(
    kms_key_id: object,
    s3_client: Any,
    session: Any,
    client_options: Mapping[str, Any],
) -> tuple[KmsKeyring, Any]:
    """Return a keyring for a KMS key, and its KMS client, which has the S3 client's identity.

    The KMS client is for the region that the key's ARN names, otherwise for the S3 client's region.
    """
    if not isinstance(kms_key_id, str):
        raise ConfigurationTypeError(f"kms_key_id must be a str, not {type(kms_key_id).__name__}.")
    if session is None and not client_options:
        session = session_of(s3_client)
    config = Config(**{name: getattr(s3_client.meta.config, name) for name in _SHARED_CONFIG})
    client = plain_client_maker(session)(
        "kms",
        region_name=_region_of(kms_key_id) or s3_client.meta.region_name,
        config=config,
        **{name: client_options[name] for name in _SHARED_OPTIONS if name in client_options},
    )
    # Botocore logs every answer at DEBUG, and these hold data keys.
    client.meta.events.register("before-parse.kms", _redact)
    return KmsKeyring(client, kms_key_id), client


class _RedactedBody(bytes):
    """A response body that a log line does not show."""

    def __repr__(self) -> str:
        return "<not logged: holds a data key>"

    __str__ = __repr__


def _redact(response_dict: dict[str, Any], **kwargs: Any) -> None:
    response_dict["body"] = _RedactedBody(response_dict["body"])


def _region_of(kms_key_id: str) -> str | None:
    # arn:partition:kms:region:account:key/id, or alias/name
    parts = kms_key_id.split(":")
    return parts[3] or None if len(parts) == 6 and parts[0] == "arn" else None
