"""The sealer: the one place that orders the steps of encrypting and decrypting an object.

``ObjectSealer.seal`` makes a data key, the envelope and the content key of a new object. ``ObjectSealer.open`` turns an
envelope into the content key. Everything that can be refused without the key service is refused before it is asked.
"""

from __future__ import annotations

import hmac
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from ._checks import check_text_map
from ._crypto.content import (
    AES_CBC,
    AES_GCM,
    AES_GCM_COMMITTING,
    MESSAGE_ID_BYTES,
    WRITABLE_CONTENT_ALGORITHMS,
    ContentKey,
    Suite,
    derive_committing_key,
)
from ._envelope.formats import V1, V2, V3, Envelope, Format
from ._keys.keyring import (
    KMS_KEY_ID_CONTEXT_KEY,
    RESERVED_CONTEXT_KEY,
    DataKey,
    Keyring,
    WrappedDataKey,
    check_keyring,
    keyring_mismatch,
)
from ._keys.wrap_algorithms import KMS, KMS_CONTEXT, WRAP_ALGORITHMS, WrapAlgorithm
from ._settings import Settings
from .exceptions import (
    ConfigurationError,
    DecryptionError,
    EncryptionContextMismatchError,
    InvalidEnvelopeError,
    KeyCommitmentError,
    KeyringAnswerError,
    LegacyWriteWarning,
    PolicyError,
    quoted,
)

# KMS takes an encryption context of at most 8 KiB.
_MAX_CONTEXT_BYTES = 8 * 1024
_LEGACY_DATA_KEY_BYTES = (16, 24, 32)


@dataclass(frozen=True, slots=True)
class SealedObject:
    """What is needed to write one object: the envelope to store, and the key to encrypt its body with."""

    envelope: Envelope
    content_key: ContentKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class ObjectSealer:
    """A keyring, and the rules about what may be written and read with it.

    Raises:
        ConfigurationError: They contradict each other.
    """

    keyring: Keyring
    settings: Settings

    def __post_init__(self) -> None:
        check_keyring(self.keyring)
        format, suite = self._write_format(self._writing_wrap())
        if format is V1 or not suite.authenticated:
            warnings.warn(
                f"Objects are written in the legacy format {format.name} with {suite.name}: nothing detects a change "
                "of their content. Use it only for readers that know nothing newer.",
                LegacyWriteWarning,
                stacklevel=2,
            )

    # --- writing ------------------------------------------------------------------------------------------------------

    def seal(self, encryption_context: Mapping[str, str] | None = None) -> SealedObject:
        """Return the envelope and the content key of a new object. Asks the keyring for one data key.

        Raises:
            ConfigurationError: The encryption context can't be used, or the keyring's key does not fit the policy.
            KeyringAnswerError: The keyring returned no data key that an object can be written with.
        """
        context = _checked_context(encryption_context)
        _, suite = self._write_format(self._writing_wrap())
        data_key = self._new_data_key(suite, context)
        format, actual_suite = self._write_format(_known_wrap(data_key.wrapped.wrapping_algorithm))
        if actual_suite is not suite:
            wrap = data_key.wrapped.wrapping_algorithm
            raise ConfigurationError(
                f"The keyring wraps by {wrap}, which is for {actual_suite.name} content: it needs an attribute "
                "wrapping_algorithm that says so."
            )
        wrapped = data_key.wrapped
        _check_new_binding(wrapped, suite)
        optional_fields = format.optional_fields_for(wrapped, suite)
        if suite.committing:
            message_id = os.urandom(MESSAGE_ID_BYTES)
            key, commitment = derive_committing_key(data_key.plaintext, message_id)
            envelope = Envelope(format.name, suite, wrapped, message_id, commitment, optional_fields)
            return SealedObject(envelope, ContentKey(suite, key, suite.fixed_iv))
        iv = os.urandom(suite.iv_bytes)
        return SealedObject(
            Envelope(format.name, suite, wrapped, iv, optional_fields=optional_fields),
            ContentKey(suite, data_key.plaintext, iv),
        )

    def _new_data_key(self, suite: Suite, context: Mapping[str, str]) -> DataKey:
        data_key = self.keyring.generate_data_key(suite.name, context)
        problem = _what_is_wrong(data_key, suite.key_bytes)
        if problem:
            # It may be a bare key, and error trackers record the variables of a frame that raises.
            del data_key
            raise KeyringAnswerError(f"What {type(self.keyring).__name__} made is no data key: {problem}.")
        return data_key

    def _writing_wrap(self) -> WrapAlgorithm | None:
        name = getattr(self.keyring, "wrapping_algorithm", None)
        return None if name is None else _known_wrap(name)

    def _write_format(self, wrap: WrapAlgorithm | None) -> tuple[Format, Suite]:
        """Return the format and suite of new objects whose data keys are wrapped so (None: not known yet)."""
        name = self.settings.content_algorithm
        requested = None if name is None else WRITABLE_CONTENT_ALGORITHMS[name]
        policy = self.settings.commitment_policy
        if policy.commits_on_encrypt:
            if requested is not None or (wrap is not None and wrap.v3_code is None):
                raise ConfigurationError(
                    f"commitment_policy={policy.name} writes AES-GCM with key commitment (V3), which "
                    f"{requested.name if requested else wrap.name if wrap else ''} does not allow. Use "
                    "FORBID_ENCRYPT_ALLOW_DECRYPT to write older formats."
                )
            return V3, AES_GCM_COMMITTING
        if wrap is not None and wrap.v1:
            format, suite = V1, AES_CBC
        else:
            format, suite = V2, requested or AES_GCM
        if not suite.authenticated:
            self._check_legacy_write(format, suite, wrap)
        return format, suite

    def _check_legacy_write(self, format: Format, suite: Suite, wrap: WrapAlgorithm | None) -> None:
        if format is V1 and self.settings.content_algorithm == AES_GCM.name:
            raise ConfigurationError(f"V1 objects can't have {AES_GCM.name} content; name another wrapping_algorithm.")
        if wrap is not None and wrap.binds_content:
            raise ConfigurationError(f"The wrapping algorithm {wrap.name} is written with AES-GCM content only.")
        if not self.settings.enable_legacy_writes:
            raise ConfigurationError(
                f"Writing format {format.name} with {suite.name} protects no object against changes; "
                "enable_legacy_writes=True allows it."
            )

    # --- reading ------------------------------------------------------------------------------------------------------

    def open(
        self,
        envelope: Envelope,
        encryption_context: Mapping[str, str] | None = None,
        ciphertext_length: int | None = None,
    ) -> ContentKey:
        """Return the content key of a stored object. Asks the keyring once, after every local check has passed.

        Args:
            envelope: The object's.
            encryption_context: What the caller says that it was written with.
            ciphertext_length: The announced length of its body in bytes; None where none is.

        Raises:
            PolicyError: The commitment policy or a legacy switch refuses the object.
            KeyringMismatchError: The keyring can't unwrap such data keys.
            InvalidEnvelopeError: The data key is bound to another content algorithm than the stated one.
            EncryptionContextMismatchError: The caller's encryption context is not the object's.
            DecryptionError: No body of the object's suite has that length; the data key can't be unwrapped, or is not
                the one committed to.
            KeyringAnswerError: What the keyring returned is no key.
        """
        self._check_policy(envelope)
        self._check_keyring_fits(envelope.wrapped)
        _check_binding(envelope.wrapped)
        _check_context(envelope.wrapped, encryption_context)
        if ciphertext_length is not None:
            envelope.suite.plaintext_length(ciphertext_length)
        opened = self._content_key(envelope, self.keyring.decrypt_data_key(envelope.wrapped))
        if not isinstance(opened, ContentKey):
            # Raised here, where no variable is a key: error trackers record the variables of each frame.
            raise opened
        return opened

    def _check_policy(self, envelope: Envelope) -> None:
        self.settings.commitment_policy.check_decrypt(envelope.suite)
        wrap = _known_wrap(envelope.wrapped.wrapping_algorithm)
        missing = []
        if wrap.legacy and not self.settings.enable_legacy_wrapping_algorithms:
            missing.append("enable_legacy_wrapping_algorithms=True")
        if not envelope.suite.authenticated and not self.settings.enable_legacy_unauthenticated_modes:
            missing.append("enable_legacy_unauthenticated_modes=True")
        if missing:
            raise PolicyError(
                f"The object was written in a legacy way (format {envelope.format}, data key wrapped by {wrap.name}, "
                f"content {envelope.suite.name}). Reading it needs {' and '.join(missing)}."
            )

    def _check_keyring_fits(self, wrapped: WrappedDataKey) -> None:
        names = getattr(self.keyring, "wrapping_algorithms", None)
        if names is not None and wrapped.wrapping_algorithm not in names:
            raise keyring_mismatch(self.keyring, wrapped.wrapping_algorithm)

    def _content_key(self, envelope: Envelope, data_key: object) -> ContentKey | DecryptionError | KeyringAnswerError:
        if not isinstance(data_key, bytes):
            keyring, given = type(self.keyring).__name__, type(data_key).__name__
            return KeyringAnswerError(f"decrypt_data_key of {keyring} must return bytes, not {given}.")
        shorter_allowed = self.settings.enable_legacy_wrapping_algorithms and not envelope.suite.committing
        if len(data_key) not in (_LEGACY_DATA_KEY_BYTES if shorter_allowed else (envelope.suite.key_bytes,)):
            return DecryptionError()
        if not envelope.suite.committing:
            return ContentKey(envelope.suite, data_key, envelope.iv)
        key, commitment = derive_committing_key(data_key, envelope.iv)
        if not hmac.compare_digest(commitment, envelope.commitment):
            return KeyCommitmentError()
        return ContentKey(envelope.suite, key, envelope.suite.fixed_iv)


def _known_wrap(name: object) -> WrapAlgorithm:
    # A keyring of the user's own may name anything.
    wrap = WRAP_ALGORITHMS.get(name) if isinstance(name, str) else None
    if wrap is None:
        raise ConfigurationError(f"The keyring names an unknown wrapping algorithm: {quoted(name)}.")
    return wrap


def _checked_context(context: object) -> Mapping[str, str]:
    """Return a copy of the caller's encryption context for a new object."""
    if context is None:
        return {}
    check_text_map(context, "EncryptionContext")
    assert isinstance(context, Mapping)  # check_text_map has seen to it
    _check_reserved(context)
    if sum(len(text.encode()) for pair in context.items() for text in pair) > _MAX_CONTEXT_BYTES:
        raise ConfigurationError(f"EncryptionContext is longer than KMS takes ({_MAX_CONTEXT_BYTES} bytes).")
    return dict(context)


def _check_reserved(context: Mapping[str, str]) -> None:
    reserved = {RESERVED_CONTEXT_KEY, KMS_KEY_ID_CONTEXT_KEY} & context.keys()
    if reserved:
        raise ConfigurationError(f"EncryptionContext must not contain {sorted(reserved)}: the client sets that itself.")


def _what_is_wrong(made: object, key_bytes: int) -> str:
    """Return what is wrong with a new data key as a keyring made it; an empty text if nothing is.

    Returned, not raised: here variables are keys, and error trackers record the variables of each frame. Types and
    lengths are told, never values.

    Args:
        made: What ``generate_data_key`` returned; a keyring of the user's own may return anything.
        key_bytes: How many bytes the data key must have.
    """
    if not isinstance(made, DataKey):
        return f"generate_data_key must return a DataKey, not {type(made).__name__}"
    wrapped = made.wrapped
    if not isinstance(wrapped, WrappedDataKey):
        return f"wrapped must be a WrappedDataKey, not {type(wrapped).__name__}"
    kinds: tuple[tuple[str, object, type], ...] = (
        ("plaintext", made.plaintext, bytes),
        ("wrapped.encrypted_data_key", wrapped.encrypted_data_key, bytes),
        ("wrapped.wrapping_algorithm", wrapped.wrapping_algorithm, str),
        ("wrapped.content_algorithm", wrapped.content_algorithm, str),
        ("wrapped.description", wrapped.description, Mapping),
    )
    for name, value, kind in kinds:
        if not isinstance(value, kind):
            return f"{name} must be {kind.__name__}, not {type(value).__name__}"
    for text in (*wrapped.description.keys(), *wrapped.description.values()):
        if not isinstance(text, str):
            return f"wrapped.description must be a dict of str to str; it holds {type(text).__name__}"
    if len(made.plaintext) != key_bytes:
        return f"plaintext must have {key_bytes} bytes, not {len(made.plaintext)}"
    return "" if wrapped.encrypted_data_key else "wrapped.encrypted_data_key is empty"


def _check_new_binding(wrapped: WrappedDataKey, suite: Suite) -> None:
    """Refuse a new data key that is bound to something else; a keyring of the user's own may be wrong."""
    if wrapped.content_algorithm != suite.name:
        raise KeyringAnswerError("The keyring bound the data key to another content algorithm.")
    try:
        _check_binding(wrapped)
    except InvalidEnvelopeError as error:
        raise KeyringAnswerError(f"Nobody could read what the keyring wrapped. {error}") from error


def _check_binding(wrapped: WrappedDataKey) -> None:
    """Compare the content algorithm in a KMS context with the stated one (AES and RSA wraps do it on unwrapping)."""
    bound = wrapped.description.get(RESERVED_CONTEXT_KEY)
    if wrapped.wrapping_algorithm == KMS_CONTEXT.name and bound != wrapped.content_algorithm:
        raise InvalidEnvelopeError("The object's data key is bound to another content algorithm than the stated one.")
    if wrapped.wrapping_algorithm == KMS.name and bound is not None:
        # Only kms+context writes this entry, so the object was relabelled to lose its binding.
        raise InvalidEnvelopeError("The object's encryption context does not fit its wrapping algorithm.")


def _check_context(wrapped: WrappedDataKey, context: object) -> None:
    """Compare the caller's encryption context with the one stored; the context proper, without what the client adds."""
    if context is not None:
        check_text_map(context, "EncryptionContext")
        assert isinstance(context, Mapping)  # check_text_map has seen to it
        _check_reserved(context)
    is_kms = _known_wrap(wrapped.wrapping_algorithm).key_type == "kms"
    if not context and wrapped.wrapping_algorithm != KMS_CONTEXT.name:
        # Old kms objects hold entries that a caller can't know (Amazon SES writes message ids): KMS compares them.
        return
    added = {RESERVED_CONTEXT_KEY, KMS_KEY_ID_CONTEXT_KEY}
    stored = {name: value for name, value in wrapped.description.items() if name not in added} if is_kms else None
    if stored != (context or {}):
        raise EncryptionContextMismatchError(
            "The EncryptionContext given is not the one that the object was written with. "
            "Pass the same EncryptionContext as on put_object; leave it out if there was none."
        )
