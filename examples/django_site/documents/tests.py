"""Tests of the site, against S3 and KMS. All but the tagged ones pass with unencrypted storage, too."""

from __future__ import annotations

import os
import urllib.request
from typing import Any

import boto3
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.templatetags.static import static
from django.test import TestCase, tag
from django.urls import reverse

from .models import Document

SECRET = b"for our eyes only\n"
# Longer than the 8 MiB from which on boto3 uploads and downloads in parts.
LARGE = SECRET + os.urandom(20 * 1024 * 1024) + SECRET


def fetched(url: str) -> bytes:
    """Return what a browser gets from S3."""
    with urllib.request.urlopen(url) as response:  # noqa: S310 - the URL is the test server's
        content: bytes = response.read()
    return content


class SiteTest(TestCase):
    """What a browser does."""

    def upload(self, content: bytes, name: str = "plans.txt") -> Document:
        """Upload a file by the form."""
        response = self.client.post(reverse("index"), {"title": name, "file": SimpleUploadedFile(name, content)})
        self.assertRedirects(response, reverse("index"))
        return Document.objects.latest("pk")

    def test_document_comes_back(self) -> None:
        """A small file, an empty title page, and its size in the list."""
        document = self.upload(SECRET * 100)
        self.assertContains(self.client.get(reverse("index")), "1.8\xa0KB")
        response = self.client.get(reverse("download", args=[document.pk]))
        self.assertEqual(response.getvalue(), SECRET * 100)
        self.assertEqual(response["Content-Length"], "1800")
        self.assertIn("plans.txt", response["Content-Disposition"])

    def test_large_document_comes_back(self) -> None:
        """20 MiB go up in parts, and come back."""
        document = self.upload(LARGE)
        self.assertEqual(document.file.size, len(LARGE))
        self.assertEqual(self.client.get(reverse("download", args=[document.pk])).getvalue(), LARGE)

    def test_deleted_document_is_gone(self) -> None:
        """Both the row and the file."""
        document = self.upload(SECRET)
        self.client.post(reverse("delete", args=[document.pk]))
        self.assertFalse(default_storage.exists(document.file.name))
        self.assertEqual(self.client.get(reverse("download", args=[document.pk])).status_code, 404)


class FileFieldTest(TestCase):
    """What code does with ``document.file``."""

    def make(self, content: bytes) -> Document:
        """Save a file to a new document."""
        document = Document.objects.create(title="notes")
        document.file.save("notes.txt", ContentFile(content))
        return Document.objects.get(pk=document.pk)

    def test_file_is_read_like_any_other(self) -> None:
        """Reading, seeking, lines and chunks."""
        with self.make(SECRET * 3).file.open("rb") as file:
            self.assertEqual(file.read(3), b"for")
            self.assertEqual(file.seek(-5, os.SEEK_END), len(SECRET) * 3 - 5)
            self.assertEqual(file.read(), b"only\n")
            file.seek(0)
            self.assertEqual(file.readlines(), [SECRET] * 3)
            self.assertEqual(b"".join(file.chunks(7)), SECRET * 3)

    def test_size_is_that_of_the_content(self) -> None:
        """Also of an empty file."""
        self.assertEqual(self.make(SECRET).file.size, len(SECRET))
        self.assertEqual(self.make(b"").file.size, 0)

    def test_text_is_read_as_text(self) -> None:
        """A file that was opened in text mode yields str."""
        with self.make("geheim: ß\n".encode()).file.open("r") as file:
            self.assertEqual(file.read(), "geheim: ß\n")

    def test_second_file_of_a_name_gets_another(self) -> None:
        """Nothing is overwritten."""
        first, second = self.make(SECRET), self.make(SECRET * 2)
        self.assertNotEqual(first.file.name, second.file.name)
        with first.file.open() as file:
            self.assertEqual(file.read(), SECRET)


class StorageTest(TestCase):
    """What code does with the storage itself."""

    def test_file_is_written_piece_by_piece(self) -> None:
        """Files opened for writing: small, and longer than one part."""
        for pieces in (3, 40):
            with default_storage.open(f"log-{pieces}.txt", "w") as file:
                for _ in range(pieces):
                    file.write(SECRET * 20_000)
            with default_storage.open(f"log-{pieces}.txt") as file:
                self.assertEqual(file.read(), SECRET * 20_000 * pieces)

    def test_files_are_listed_and_deleted(self) -> None:
        """Listing, existence, time of change, deletion."""
        name = default_storage.save("folder/a.txt", ContentFile(SECRET))
        self.assertIn("a.txt", default_storage.listdir("folder")[1])
        self.assertTrue(default_storage.exists(name))
        self.assertIsNotNone(default_storage.get_modified_time(name).tzinfo)
        default_storage.delete(name)
        self.assertFalse(default_storage.exists(name))
        with self.assertRaises(FileNotFoundError):
            default_storage.open(name)

    def test_static_files_are_collected(self) -> None:
        """Browsers get them from S3, so they are not encrypted."""
        call_command("collectstatic", interactive=False, verbosity=0)
        self.assertIn(b"sans-serif", fetched(static("documents/style.css")))


@tag("encrypted")
class EncryptionTest(TestCase):
    """What S3 has, and what it has not."""

    def stored(self, name: str) -> Any:
        """Return an object as S3 holds it."""
        return boto3.client("s3").get_object(Bucket="documents", Key=name)

    def test_s3_holds_ciphertext(self) -> None:
        """The stored body is 16 bytes longer, and says nothing."""
        name = default_storage.save("secret.txt", ContentFile(SECRET * 10))
        body = self.stored(name)["Body"].read()
        self.assertEqual(len(body), len(SECRET) * 10 + 16)
        self.assertNotIn(SECRET, body)

    def test_url_leads_to_ciphertext(self) -> None:
        """So links to files go through a view."""
        name = default_storage.save("linked.txt", ContentFile(SECRET))
        with self.assertWarnsRegex(UserWarning, "presigned"):
            url = default_storage.url(name)
        self.assertEqual(fetched(url), self.stored(name)["Body"].read())
