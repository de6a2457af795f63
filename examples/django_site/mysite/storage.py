"""Storage of uploaded files: django-storages, encrypting."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from storages.backends.s3 import S3Storage

from s3_encryption import S3EncryptionSession


class EncryptedS3Storage(S3Storage):
    """``S3Storage``, with all its settings, whose files are encrypted before S3 sees them."""

    def _create_session(self) -> Any:
        # The hook that django-storages gets its boto3 session from.
        return S3EncryptionSession(
            self.access_key,
            self.secret_key,
            self.security_token,
            profile_name=self.session_profile,
            kms_key_id=settings.DOCUMENTS_KMS_KEY_ID,
        )
