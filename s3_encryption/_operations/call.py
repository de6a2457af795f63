"""One call of an operation: what it says, what the client encrypts with, and how requests are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from .._body.plaintext import digest_field
from .._body.sizes import IO_BLOCK_BYTES
from .._checks import check_suffix
from .._keys.keyring import Keyring
from .._sealer import ObjectSealer
from .._settings import Settings

Params: TypeAlias = dict[str, Any]
# Sends a request as it is, and returns botocore's response.
Send: TypeAlias = Callable[[str, Params], dict[str, Any]]

CONTEXT_PARAMETER = "EncryptionContext"
SUFFIX_PARAMETER = "InstructionFileSuffix"

# What every request about an object must repeat, also those that the caller does not see.
REPEATED_PARAMETERS = (
    "RequestPayer",
    "ExpectedBucketOwner",
    "SSECustomerAlgorithm",
    "SSECustomerKey",
    "SSECustomerKeyMD5",
)


@dataclass(frozen=True, slots=True)
class Encryption:
    """What a client encrypts and decrypts with. All its calls share it.

    ``default_checksum`` is the algorithm of the checksum that botocore adds to a request that asks for no other;
    ``endpoint`` is where the client sends its requests.
    """

    sealer: ObjectSealer
    settings: Settings
    default_checksum: str | None
    endpoint: str

    @classmethod
    def of(cls, keyring: Keyring, settings: Settings, client: Any) -> Encryption:
        """Return what a client over an ordinary one encrypts with.

        Raises:
            ConfigurationError: Keyring and settings contradict each other.
        """
        adds_checksums = getattr(client.meta.config, "request_checksum_calculation", None) == "when_supported"
        checksum = "CRC32" if adds_checksums else None
        return cls(ObjectSealer(keyring, settings), settings, checksum, client.meta.endpoint_url)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation.

    ``params`` are boto3's own parameters; ``encryption_context`` and ``instruction_file_suffix`` are what the call says
    beyond them. ``send`` sends a request as it is.
    """

    encryption: Encryption
    send: Send
    params: Params
    encryption_context: Mapping[str, str] | None = None
    instruction_file_suffix: str | None = None

    def check_suffix(self) -> None:
        """Check that the suffix that the call names can be one.

        Raises:
            ConfigurationError: It can't.
        """
        check_suffix(self.instruction_file_suffix)

    def repeated(self) -> Params:
        """Return what every request about the call's object must repeat."""
        return {name: self.params[name] for name in REPEATED_PARAMETERS if name in self.params}

    def content_md5(self, body: Any, params: Params) -> Params:
        """Return the Content-MD5 of a body that is at its start, where its request will have no other checksum.

        For a body that S3 may refuse without one (Object Lock): any server knows it, whatever else it does not know.

        Args:
            body: The ciphertext, a binary file; it is read, and at its start again.
            params: The parameters of the request.
        """
        if params.get("ChecksumAlgorithm", self.encryption.default_checksum) is not None:
            return {}
        digest = digest_field("ContentMD5", iter(lambda: body.read(IO_BLOCK_BYTES), b""))
        body.seek(0)
        return digest


def s3_error(code: str, message: str, operation: str) -> ClientError:
    """Return the error by which S3 answers a bad request, for what is known here without asking it."""
    error: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(error, operation)


def error_code(error: ClientError) -> object:
    """Return S3's code for an error."""
    return error.response.get("Error", {}).get("Code")
