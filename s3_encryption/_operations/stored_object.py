"""An object as S3 has it: its envelope, its lengths, and how to ask for the very same object again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from .._body.plaintext import is_digest_name
from .._body.ranges import ByteRange, content_range, parse_content_range
from .._body.response import close_body, read_bounded
from .._crypto.content import ContentKey
from .._crypto.primitives import AES_BLOCK_BYTES
from .._envelope import formats, instruction_file
from .._envelope.formats import Envelope
from ..exceptions import DecryptionError, InvalidEnvelopeError, NotEncryptedError, quoted
from .call import Call, Params, error_code
from .placement import suffix_of

# Where answers show the envelope, as far as it is in the object's metadata. Names are in lower case.
ENVELOPE_MEMBER = "EncryptionEnvelope"
# The members of an answer that tell lengths, and the headers that say the same.
_LENGTH_HEADERS = {
    "ContentLength": "content-length",
    "ContentRange": "content-range",
    "PartsCount": "x-amz-mp-parts-count",
}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What an answer of S3 says of an object.

    ``envelope`` is None for a plaintext object that may be read. ``ciphertext_length`` is the length in bytes of what
    is stored, None where the server did not say. ``etag`` is None on servers that have none.
    """

    call: Call
    envelope: Envelope | None
    ciphertext_length: int | None
    etag: str | None

    @classmethod
    def of(cls, call: Call, response: Mapping[str, Any]) -> StoredObject:
        """Return what an answer to a call is about; its envelope may be in an instruction file, which is fetched.

        Raises:
            NotEncryptedError: It has no envelope, and plaintext may not be read.
            InvalidEnvelopeError: It has one that can't be used, or may have one that S3 does not tell.
        """
        envelope = None
        try:
            envelope = _find_envelope(call, response.get("Metadata", {}))
        except NotEncryptedError:
            check_metadata_complete(response)
            if not call.encryption.settings.allow_plaintext_reads:
                raise
        part = told_range(response)
        length = part[2] if part is not None else response.get("ContentLength")
        return cls(call, envelope, length, response.get("ETag"))

    @property
    def plaintext_length(self) -> int | None:
        """The length in bytes of the plaintext; None where it is not known before all is decrypted (CBC).

        Raises:
            DecryptionError: No ciphertext of the object's suite has that length.
        """
        if self.envelope is None or self.ciphertext_length is None:
            return self.ciphertext_length
        return self.envelope.suite.plaintext_length(self.ciphertext_length)

    @property
    def pinned(self) -> Params:
        """The parameters of a request about the very same object; as they were, where the server has no ETags."""
        return pinned(self.call.params, self.etag)

    def content_key(self) -> ContentKey:
        """Return the key of the object's content. Asks the keyring once, after every local check has passed.

        Raises:
            S3EncryptionClientError: As ``ObjectSealer.open``.
        """
        assert self.envelope is not None  # a plaintext object has no key, and nobody asks for it
        sealer = self.call.encryption.sealer
        return sealer.open(self.envelope, self.call.encryption_context, self.ciphertext_length)

    def get(self, span: ByteRange | None = None) -> dict[str, Any]:
        """Return the answer to a request for a range, or all, of the very same object, as it is stored.

        Raises:
            DecryptionError: The answer is about another object; its body is closed.
        """
        response = self.call.send("GetObject", {**self.pinned, **({"Range": str(span)} if span else {})})
        if response.get("ETag") != self.etag:
            close_body(response["Body"])
            raise DecryptionError
        return response


def status_of(response: Mapping[str, Any]) -> int:
    """Return the HTTP status of an answer that is no error: 200, or 206 for a part of an object."""
    # A stubbed answer may have none.
    without = 206 if "ContentRange" in response else 200
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", without))


def check_metadata_complete(response: Mapping[str, Any]) -> None:
    """Check that an answer tells all metadata of its object: S3 leaves out what can't be a header, and says so.

    Raises:
        InvalidEnvelopeError: Some are missing, and the envelope may be among them.
    """
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    # The second is for answers that botocore has not parsed, or somebody has changed.
    said = (response.get("MissingMeta"), headers.get("x-amz-missing-meta"))
    if any(count is not None and str(count) != "0" for count in said):
        raise InvalidEnvelopeError(
            "S3 says that some of the object's metadata are missing from its answer (x-amz-missing-meta), and there is "
            "no envelope among the others: whether the object is encrypted can't be told. Store its metadata anew."
        )


def pinned(params: Params, etag: str | None) -> Params:
    """Return the parameters of a request about the object with an ETag; not every server has them."""
    return params if etag is None else {**params, "IfMatch": etag}


def _find_envelope(call: Call, metadata: Mapping[str, str]) -> Envelope:
    """Return an object's envelope: from its metadata, or else (or where a suffix is given) from its instruction file.

    Raises:
        NotEncryptedError: There is none.
        InvalidEnvelopeError: There is one, and it can't be used.
    """
    fields = formats.envelope_fields(metadata)
    elsewhere = call.instruction_file_suffix is not None
    complete = formats.has_envelope(fields) or not formats.may_have_instruction_file(fields)
    if not elsewhere and (complete or call.encryption.settings.ignore_instruction_files):
        return formats.parse_fields(fields)
    key = call.params["Key"] + suffix_of(call)
    content = _instruction_file(call, key)
    if content is not None:
        return instruction_file.merge(fields, content)
    if fields or elsewhere:
        raise InvalidEnvelopeError(
            f"The object's instruction file {quoted(key)} does not exist, so its data key is missing."
        )
    return formats.parse_fields(fields)


def _instruction_file(call: Call, key: str) -> bytes | None:
    try:
        response = call.send("GetObject", {**call.repeated(), "Bucket": call.params["Bucket"], "Key": key})
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "404"):
            return None
        raise
    return read_bounded(response["Body"], instruction_file.MAX_INSTRUCTION_FILE_BYTES)


def plausible_cbc_length(noted: int | None, ciphertext_length: int | None) -> int | None:
    """Return the plaintext length that the writer noted, if padding can make it the ciphertext's."""
    if noted is None or ciphertext_length is None or not 0 < ciphertext_length - noted <= AES_BLOCK_BYTES:
        return None
    return noted


def told_range(response: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Return start, stop and total length of the range that an answer of S3 is about; None where it says of none."""
    if status_of(response) == 200:
        return None  # a whole object has no range, whatever is said
    # Older versions of botocore have no member for it in the answer to a head.
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return parse_content_range(response.get("ContentRange", headers.get("content-range")))


def range_told(span: tuple[int, int], plaintext_length: int) -> dict[str, Any]:
    """Return what an answer tells of a span of the plaintext: its length, and where it is, unless it is empty."""
    start, stop = span
    return {
        "ContentLength": stop - start,
        "ContentRange": content_range(start, stop, plaintext_length) if start < stop else None,
    }


def in_plaintext_terms(response: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response about an encrypted object such that it fits the plaintext.

    The ciphertext's digests, which would mislead, are left out. The envelope's fields, which are not the user's, go
    from ``Metadata`` to a member of their own. Its headers are as S3 has sent them, but for the lengths.

    Args:
        response: What S3 has answered.
        lengths: ContentLength, ContentRange and PartsCount, as far as they are not those of the ciphertext. They take
            the place of what is there, in the HTTP headers too; None leaves it out.
    """
    kept = {name: value for name, value in response.items() if name != "ChecksumType" and not is_digest_name(name)}
    answer = _replaced(kept, lengths)
    stored = response.get("Metadata", {})
    if fields := formats.envelope_fields(stored):
        answer["Metadata"] = {name: text for name, text in stored.items() if name.lower() not in fields}
        answer[ENVELOPE_MEMBER] = fields
    metadata = response.get("ResponseMetadata", {})
    if "HTTPHeaders" in metadata:
        texts = {_LENGTH_HEADERS[name]: None if value is None else str(value) for name, value in lengths.items()}
        answer["ResponseMetadata"] = {**metadata, "HTTPHeaders": _replaced(metadata["HTTPHeaders"], texts)}
    return answer


def not_satisfiable(operation_name: str, response: Mapping[str, Any], told: dict[str, str]) -> ClientError:
    """Return S3's 416, with what it tells, in the place of an answer about the ciphertext."""
    lengths = dict.fromkeys(_LENGTH_HEADERS)
    metadata = in_plaintext_terms(response, lengths).get("ResponseMetadata", {})
    return ClientError({"Error": told, "ResponseMetadata": {**metadata, "HTTPStatusCode": 416}}, operation_name)


def _replaced(told: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told with changes to what is there; None leaves it out."""
    return {
        name: changes.get(name, value)
        for name, value in told.items()
        if name not in changes or changes[name] is not None
    }
