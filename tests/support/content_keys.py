"""The content key of tests that need just any, and what it makes of a plaintext."""

from __future__ import annotations

from s3_encryption._crypto.content import AES_GCM, ContentKey, Suite

from . import reference


def content_key(suite: Suite = AES_GCM) -> ContentKey:
    """Return a content key with the IV that the suite demands, or any other."""
    return ContentKey(suite, bytes(range(32)), suite.fixed_iv or bytes(range(12)))


def body_of(plaintext: bytes, suite: Suite = AES_GCM) -> bytes:
    """Return the stored body, made by pycryptodome in one go."""
    key = content_key(suite)
    return reference.gcm_encrypt(key.key, key.iv, plaintext, suite.aad)
