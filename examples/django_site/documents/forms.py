"""The form for uploading."""

from __future__ import annotations

from typing import ClassVar

from django import forms

from .models import Document


class DocumentForm(forms.ModelForm):
    """A title and a file."""

    class Meta:
        model = Document
        fields: ClassVar = ["title", "file"]
