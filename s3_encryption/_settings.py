"""Every option of a client, once: its name, type, default, check, and the sentence that says what it does.

The client's signature and help are made from this table. A new option is one more row, and its use; tests compare the
table with what type checkers see (``_typing``) and with the documentation.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ._checks import check_suffix, check_switch
from ._crypto.content import WRITABLE_CONTENT_ALGORITHMS, CommitmentPolicy
from .exceptions import ConfigurationError, ConfigurationTypeError, quoted

# (name, value): refuses by ConfigurationError.
Check = Callable[[str, Any], object]

_ENVELOPE_LOCATIONS = ("metadata", "instruction_file")


def _check_policy(name: str, value: object) -> None:
    if not isinstance(value, CommitmentPolicy):
        raise ConfigurationTypeError(
            f"{name} must be a member of CommitmentPolicy, such as CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT, "
            f"not {type(value).__name__}."
        )


def _check_content_algorithm(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationTypeError(f"{name} must be a str, not {type(value).__name__}.")
    if value is not None and value not in WRITABLE_CONTENT_ALGORITHMS:
        names = sorted(WRITABLE_CONTENT_ALGORITHMS)
        raise ConfigurationError(f"{name} must be one of {names}, not {quoted(value)}.")


def _check_bytes(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationTypeError(f"{name} must be a number of bytes (int), not {quoted(value)}.")
    if value < 1:
        raise ConfigurationError(f"{name} must be at least 1 byte, not {value}.")


def _check_location(name: str, value: object) -> None:
    if value not in _ENVELOPE_LOCATIONS or not isinstance(value, str):
        raise ConfigurationError(f"{name} must be one of {_ENVELOPE_LOCATIONS}, not {quoted(value)}.")


def _check_suffix(name: str, value: object) -> None:
    check_suffix(value)


def _row(check: Check, sentence: str) -> dict[str, Any]:
    return {"check": check, "sentence": sentence}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a client, but for its key. Frozen: nothing can be changed afterwards.

    Raises:
        ConfigurationError: An option is wrong, or two contradict each other.
    """

    commitment_policy: CommitmentPolicy = field(
        default=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
        metadata=_row(
            _check_policy,
            "FORBID_ENCRYPT_ALLOW_DECRYPT writes what every deployed reader knows (V2). Where all readers know V3, "
            "prefer REQUIRE_ENCRYPT_ALLOW_DECRYPT or REQUIRE_ENCRYPT_REQUIRE_DECRYPT.",
        ),
    )
    enable_legacy_wrapping_algorithms: bool = field(
        default=False,
        metadata=_row(check_switch, "Read objects whose data key was wrapped in an old way."),
    )
    enable_legacy_unauthenticated_modes: bool = field(
        default=False,
        metadata=_row(check_switch, "Read objects whose content nothing authenticates (CBC)."),
    )
    enable_legacy_writes: bool = field(
        default=False,
        metadata=_row(check_switch, "Write V1 objects, or CBC content, for readers that know nothing newer."),
    )
    content_algorithm: str | None = field(
        default=None,
        metadata=_row(
            _check_content_algorithm,
            '"AES/CBC/PKCS5Padding" writes such content, behind ``enable_legacy_writes``.',
        ),
    )
    enable_unauthenticated_ranges: bool = field(
        default=False,
        metadata=_row(check_switch, "Read ranges of objects, which no tag can verify."),
    )
    enable_delayed_authentication: bool = field(
        default=False,
        metadata=_row(check_switch, "Release plaintext while it arrives; a changed object raises at its end only."),
    )
    allow_plaintext_reads: bool = field(
        default=False,
        metadata=_row(check_switch, "Return objects that have no envelope as they are."),
    )
    enable_plaintext_presigned_uploads: bool = field(
        default=False,
        metadata=_row(check_switch, "Sign URLs and forms for uploading: what comes in by them is not encrypted."),
    )
    buffer_size: int = field(
        default=64 * 1024 * 1024,
        metadata=_row(
            _check_bytes,
            "How many bytes of an object may be held in memory while it is verified; beyond it, ciphertext goes to a "
            "temporary file.",
        ),
    )
    envelope_location: str = field(
        default="metadata",
        metadata=_row(
            _check_location,
            'Where new envelopes go: "metadata", or "instruction_file" (an object of its own beside it).',
        ),
    )
    instruction_file_suffix: str = field(
        default=".instruction",
        metadata=_row(_check_suffix, "What is added to an object's key to name its instruction file."),
    )
    ignore_instruction_files: bool = field(
        default=False,
        metadata=_row(check_switch, "Read envelopes from metadata only, unless a call names InstructionFileSuffix."),
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            option.metadata["check"](option.name, getattr(self, option.name))
        if self.ignore_instruction_files and self.envelope_location == "instruction_file":
            raise ConfigurationError('ignore_instruction_files contradicts envelope_location="instruction_file".')


# Where the data keys come from, with types and sentences: exactly one of these is given.
KEY_OPTIONS: Mapping[str, tuple[str, str]] = {
    "keyring": (
        "Keyring | None",
        "Where data keys come from. Exactly one of ``keyring``, ``kms_key_id``, ``aes_key``, ``rsa_key`` is needed.",
    ),
    "kms_key_id": (
        "str | None",
        "An AWS KMS key id, ARN or alias: short for a KmsKeyring with a KMS client like the S3 client.",
    ),
    "aes_key": ("bytes | None", "16, 24 or 32 bytes: short for AesKeyring(aes_key)."),
    "rsa_key": ("Any", "PEM, DER or a key object: short for RsaKeyring(rsa_key)."),
}
# The options of an encrypting client by name; the others are those of boto3.client.
OPTIONS: Mapping[str, object] = {
    **dict.fromkeys(KEY_OPTIONS),
    **{option.name: option.default for option in fields(Settings)},
}


def check_one_key(keys: Mapping[str, object]) -> None:
    """Check that exactly one of the options for a key is given.

    Raises:
        ConfigurationError: None is given, or several are.
    """
    given = [name for name, value in keys.items() if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"Exactly one of {', '.join(keys)} is needed; "
            + (f"{' and '.join(given)} are given." if given else "none is given.")
        )


def with_options(signature: inspect.Signature) -> inspect.Signature:
    """Return a signature in which each option has a keyword with its default, before ``**``."""
    *parameters, var_keyword = signature.parameters.values()
    types = {name: annotation for name, (annotation, _) in KEY_OPTIONS.items()} | inspect.get_annotations(Settings)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[name])
        for name, default in OPTIONS.items()
    ]
    return signature.replace(parameters=[*parameters, *options, var_keyword])


def help_of_options(indent: str) -> str:
    """Return a line or two for each option, as they stand in the "Args" of a docstring."""
    sentences = {name: sentence for name, (_, sentence) in KEY_OPTIONS.items()}
    sentences |= {option.name: option.metadata["sentence"] for option in fields(Settings)}
    return "\n".join(
        textwrap.fill(f"{name}: {text}", 120, initial_indent=indent, subsequent_indent=f"{indent}    ")
        for name, text in sentences.items()
    )
