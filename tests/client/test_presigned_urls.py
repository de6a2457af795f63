"""Presigned URLs and forms: those for reading yield ciphertext, those for writing would let plaintext in."""

from __future__ import annotations

import urllib.request
import warnings
from typing import Any

import pytest
from botocore.exceptions import UnknownClientMethodError
from support.worlds import KEY, StrictWorld

from s3_encryption import NotEncryptedError, UnsupportedOperationError

MARKER = b"the plaintext that S3 must never see"
WRITES = ["put_object", "upload_part", "create_multipart_upload", "put_object_annotation"]


@pytest.mark.parametrize("positional", [False, True])
def test_presigned_read_works_and_warns(s3: StrictWorld, positional: bool) -> None:
    """A URL for reading is boto3's, with a warning at the caller's line that it yields the encrypted object."""
    arguments = {"ClientMethod": "get_object", "Params": s3.object_at(), "ExpiresIn": 60, "HttpMethod": "GET"}
    client = s3.client()
    with pytest.warns(UserWarning, match="encrypted") as caught:
        ours = client.generate_presigned_url(
            *(arguments.values() if positional else ()), **({} if positional else arguments)
        )
    assert [warning.filename for warning in caught] == [__file__]
    assert _without_time(ours) == _without_time(s3.plain.generate_presigned_url(**arguments))


def _without_time(url: str) -> list[str]:
    base, _, query = url.partition("?")
    timely = ("X-Amz-Date", "X-Amz-Signature", "Signature", "Expires=")
    return [base, *(part for part in query.split("&") if not part.startswith(timely))]


def test_presigned_url_yields_the_stored_bytes(s3: StrictWorld) -> None:
    """Whoever follows the URL gets what S3 has."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=MARKER)
    with pytest.warns(UserWarning, match="encrypted"):
        url = client.generate_presigned_url("get_object", s3.object_at())
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        assert answer.read() == s3.body_stored()


def test_presigned_url_without_content_does_not_warn(s3: StrictWorld) -> None:
    """URLs for other operations are boto3's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method, parameters in {"list_objects_v2": {"Bucket": s3.bucket}, "delete_object": s3.object_at()}.items():
            assert s3.client().generate_presigned_url(method, parameters).startswith(s3.url)


def test_every_client_warns_once(s3: StrictWorld) -> None:
    """A view that signs a hundred URLs says once what they yield; another client says it again."""
    for client in (s3.client(), s3.client()):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for method in ("get_object", "head_object", "get_object"):
                client.generate_presigned_url(method, s3.object_at())
        assert len(caught) == 1


@pytest.mark.parametrize("method", WRITES)
def test_al_05_presigned_write_is_refused(s3: StrictWorld, method: str) -> None:
    """Whoever has such a URL would store plaintext (AL-05)."""
    client = s3.client()
    with pytest.raises(UnsupportedOperationError, match=method):
        client.generate_presigned_url(method, Params=s3.object_at())
    with pytest.raises(UnsupportedOperationError, match=method):
        client.generate_presigned_url(ClientMethod=method, Params=s3.object_at())


def test_presigned_write_of_any_stream_is_refused(s3: StrictWorld) -> None:
    """Every operation of the model that sends a stream to an object is among the refused."""
    client, model = s3.client(), s3.plain.meta.service_model
    for name, method in ((name, method) for method, name in s3.plain.meta.method_to_api_mapping.items()):
        if model.operation_model(name).has_streaming_input and name != "WriteGetObjectResponse":
            with pytest.raises(UnsupportedOperationError):
                client.generate_presigned_url(method, Params=s3.object_at())


def test_al_05_presigned_post_is_refused(s3: StrictWorld) -> None:
    """What a browser posts would be stored in plaintext (AL-05)."""
    with pytest.raises(UnsupportedOperationError, match="POST"):
        s3.client().generate_presigned_post(s3.bucket, KEY)
    with pytest.raises(UnsupportedOperationError, match="POST"):
        s3.client().generate_presigned_post(Bucket=s3.bucket, Key=KEY, ExpiresIn=60)


def test_presigned_url_for_an_unknown_method_is_botocores_error(s3: StrictWorld) -> None:
    """A misspelt method is told as plain boto3 tells it."""
    with pytest.raises(UnknownClientMethodError):
        s3.client().generate_presigned_url("put_objects", s3.object_at())


# --- where plaintext is meant -----------------------------------------------------------------------------------------


@pytest.fixture
def signing(s3: StrictWorld) -> Any:
    """Return a client that may sign uploads."""
    return s3.client(enable_plaintext_presigned_uploads=True)


@pytest.mark.parametrize("method", WRITES)
def test_al_05_opted_in_client_signs_as_boto3(s3: StrictWorld, signing: Any, method: str) -> None:
    """With the switch, the URL is boto3's own."""
    required: dict[str, dict[str, Any]] = {
        "upload_part": {"PartNumber": 1, "UploadId": "u"},
        "put_object_annotation": {"AnnotationName": "a", "AnnotationPayload": b"a"},
    }
    params = {**s3.object_at(), **required.get(method, {})}
    ours, boto3s = (client.generate_presigned_url(method, params) for client in (signing, s3.plain))
    assert _without_time(ours) == _without_time(boto3s)


def test_al_05_opted_in_client_signs_forms_as_boto3(s3: StrictWorld, signing: Any) -> None:
    """With the switch, the form is boto3's own, its conditions included."""
    arguments = (s3.bucket, KEY, {"acl": "private"}, [{"acl": "private"}], 60)
    ours, boto3s = (client.generate_presigned_post(*arguments) for client in (signing, s3.plain))
    assert ours["url"] == boto3s["url"]
    assert ours["fields"].keys() == boto3s["fields"].keys()
    assert ours["fields"]["acl"] == "private"


def test_what_comes_in_by_a_signed_url_is_not_encrypted(s3: StrictWorld, signing: Any) -> None:
    """The switch's price: S3 has the plaintext, and the client refuses to read it as if it were its own."""
    url = signing.generate_presigned_url("put_object", s3.object_at())
    with urllib.request.urlopen(urllib.request.Request(url, data=MARKER, method="PUT")):  # noqa: S310
        assert s3.body_stored() == MARKER
    with pytest.raises(NotEncryptedError):
        signing.get_object(**s3.object_at())


def test_the_switch_is_for_urls_only(s3: StrictWorld, signing: Any) -> None:
    """The client's own writes are encrypted as ever."""
    signing.put_object(**s3.object_at(), Body=MARKER)
    assert MARKER not in s3.body_stored()
    assert signing.get_object(**s3.object_at())["Body"].read() == MARKER
