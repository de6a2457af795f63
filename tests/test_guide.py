"""What the guide says is so: every error has its section, and its policies give just the rights that are needed."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core import set_initial_no_auth_action_count
from support.servers import moto_server

from s3_encryption import S3EncryptionClient, exceptions

README = Path(__file__).parents[1] / "README.md"
GUIDE = README.parent / "docs"
OURS = sorted(
    name
    for name, member in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(member, (Exception, Warning)) and member.__module__ == exceptions.__name__
)
PARTS = os.urandom(9 * 1024 * 1024)


def section(page: str, title: str) -> str:
    """Return the text below a heading, up to the next one."""
    found = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", (GUIDE / page).read_text(), re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"{page} has no section {title!r}"
    return found[1].strip()


@pytest.mark.parametrize("name", OURS)
def test_every_error_is_explained(name: str) -> None:
    """Whoever meets an error finds a section of its name, which says something."""
    assert len(section("troubleshooting.md", name)) > 80


def test_no_section_is_about_an_error_that_is_gone() -> None:
    """A section that has an error's name is about one that exists."""
    titles = re.findall(r"^### (\S+)$", (GUIDE / "troubleshooting.md").read_text(), re.MULTILINE)
    assert sorted(titles) == OURS


# --- names and links --------------------------------------------------------------------------------------------------

OPTIONS = {
    name
    for name, parameter in inspect.signature(S3EncryptionClient.__new__).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY
}
PAGES = sorted(GUIDE.glob("*.md"))
ALL_TEXT = "".join(page.read_text() for page in [*PAGES, README])


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_every_option_is_told_of(option: str) -> None:
    """An option of the client is found in the guide or the README."""
    assert re.search(rf"\b{option}\b", ALL_TEXT)


def test_options_told_of_exist() -> None:
    """What the guide and the README call a switch is one of the client's."""
    assert set(re.findall(r"\b(?:enable|allow)_\w+", ALL_TEXT)) <= OPTIONS


def test_links_of_the_readme_lead_somewhere() -> None:
    """A link to a page or a file leads to one; those of the guide are checked when it is built."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text())
    assert "docs/index.md" in links
    assert [link for link in links if not (README.parent / link).exists()] == []


# --- policies ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def admin() -> Iterator[Any]:
    """Run AWS, with ``my-bucket``, and return what makes clients that may do everything."""
    with moto_server() as url:

        def make(service: str, **options: Any) -> Any:
            return boto3.client(service, endpoint_url=url, **options)

        make("s3").create_bucket(Bucket="my-bucket")
        yield make
        boto3.resource("s3", endpoint_url=url).Bucket("my-bucket").objects.delete()
        make("s3").delete_bucket(Bucket="my-bucket")


@pytest.fixture(scope="module")
def kms_key_id(admin: Callable[..., Any]) -> str:
    """Return a KMS key's ARN."""
    arn: str = admin("kms").create_key()["KeyMetadata"]["Arn"]
    return arn


@pytest.fixture
def user(admin: Callable[..., Any], kms_key_id: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return what makes encrypting clients that have the rights in a section of the page about policies only."""
    iam, url = admin("iam"), admin("s3").meta.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    def make(title: str) -> Any:
        policy = json.loads(section("policies.md", title).partition("```json\n")[2].partition("```")[0])
        for statement in policy["Statement"]:
            if "kms:" in str(statement["Action"]):
                # The embedded AWS knows of actions in KMS, and not of keys.
                statement["Resource"] = "*"
        name = title.replace(" ", "-")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return S3EncryptionClient(
            kms_key_id=kms_key_id,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

    return make


def test_policies_suffice_and_no_more(admin: Callable[..., Any], user: Callable[[str], Any]) -> None:
    """Who writes can write, also in parts, and can't read; who reads can read, and can't write."""
    writer, reader = user("Who writes"), user("Who reads")
    as_enforced = set_initial_no_auth_action_count(0)
    as_enforced(_write)(writer)
    as_enforced(_read)(reader)
    for denied in (lambda: _read(writer), lambda: _write(reader), lambda: admin("kms").create_key()):
        with pytest.raises(ClientError, match=r"AccessDenied|InvalidClientTokenId|403"):
            as_enforced(denied)()


def _write(client: Any) -> None:
    client.put_object(Bucket="my-bucket", Key="small", Body=b"small")
    client.upload_fileobj(io.BytesIO(PARTS), "my-bucket", "large")


def _read(client: Any) -> None:
    assert client.get_object(Bucket="my-bucket", Key="small")["Body"].read() == b"small"
    assert client.head_object(Bucket="my-bucket", Key="small")["ContentLength"] == 5
    target = io.BytesIO()
    client.download_fileobj("my-bucket", "large", target)
    assert target.getvalue() == PARTS
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket="my-bucket", Key="none")
