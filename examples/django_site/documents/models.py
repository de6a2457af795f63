"""The model: nothing in it knows of S3 or of encryption."""

from __future__ import annotations

from django.db import models


class Document(models.Model):
    """A file with a title."""

    title = models.CharField(max_length=100)
    file = models.FileField(upload_to="uploads/%Y/")

    def __str__(self) -> str:
        return str(self.title)
