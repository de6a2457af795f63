"""Programs written for AWS's own Python client run as they are: its names, its constructor, its calls, its errors."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from support.encoder import CBC, GCM, V2_KMS, V3_KMS, Encoder, Kind, to_base64
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.uploads import part_sizes
from support.vectors import KMS_RECORDS, PEER_VECTORS, VECTORS, Vector
from support.worlds import KEY, StrictWorld, World, error_of

from s3_encryption import ConfigurationError, S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption._keys.raw import AesKeyring
from s3_encryption.exceptions import DecryptionError, S3EncryptionClientError, S3EncryptionClientSecurityError
from s3_encryption.instruction_file_config import InstructionFileConfig
from s3_encryption.materials import AlgorithmSuite, CommitmentPolicy, DefaultCryptoMaterialsManager
from s3_encryption.materials.crypto_materials_manager import DefaultCryptoMaterialsManager as ManagerByItsPath
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite as SuiteByItsPath

PLAINTEXT = b"the plaintext that S3 must never see"
CONTEXT = {"tenant": "7"}
V2_OPTIONS: dict[str, Any] = {
    "encryption_algorithm": AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
    "commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
}
V3_AND_OLDER: dict[str, Any] = {"commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT}
WRITTEN_BY_IT = [
    vector for vector in (*VECTORS, *PEER_VECTORS) if vector.name.startswith(("pyv4", "aws_python")) and vector.kms
]


def made(s3: World, kms: Any, *, legacy: bool = False, **options: Any) -> Any:
    """Return a client made in this form."""
    config = S3EncryptionClientConfig(KmsKeyring(kms, KMS_KEY_ARN, legacy), **options)
    return S3EncryptionClient(s3.plain, config)


def read(client: Any, world: World, **params: Any) -> bytes:
    """Return an object's plaintext."""
    content: bytes = client.get_object(**world.object_at(), **params)["Body"].read()
    return content


# --- names and construction -------------------------------------------------------------------------------------------


def test_first_program(moto: World, kms_key_id: str) -> None:
    """The first program that everybody writes with it runs, against S3 and KMS, and writes V3."""
    kms_client = boto3.client("kms")
    keyring = KmsKeyring(kms_client, kms_key_id)
    config = S3EncryptionClientConfig(keyring=keyring)
    s3ec = S3EncryptionClient(moto.plain, config)
    s3ec.put_object(**moto.object_at(), Body=PLAINTEXT, EncryptionContext=CONTEXT)
    assert s3ec.get_object(**moto.object_at(), EncryptionContext=CONTEXT)["Body"].read() == PLAINTEXT
    assert PLAINTEXT not in moto.body_stored()
    assert moto.metadata_stored()["x-amz-c"] == "115"
    kms_client.close()


def test_names_are_the_same_by_every_path() -> None:
    """A name means one thing, whatever path it is imported by."""
    assert ManagerByItsPath is DefaultCryptoMaterialsManager
    assert SuiteByItsPath is AlgorithmSuite
    assert issubclass(S3EncryptionClientSecurityError, S3EncryptionClientError)


@pytest.mark.parametrize("by_name", [False, True], ids=["by-position", "by-name"])
def test_client_is_made_from_client_and_config(s3: StrictWorld, kms: FakeKms, by_name: bool) -> None:
    """Both arguments may be given by position or by name; the result is a client as any other."""
    config = S3EncryptionClientConfig(KmsKeyring(kms, KMS_KEY_ARN))
    client: Any = (
        S3EncryptionClient(wrapped_s3_client=s3.plain, config=config)
        if by_name
        else S3EncryptionClient(s3.plain, config)
    )
    assert isinstance(client, S3EncryptionClient)
    assert isinstance(client, BaseClient)
    assert client.config is config
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert read(client, s3) == PLAINTEXT


def test_options_of_this_library_may_be_added(s3: StrictWorld, kms: FakeKms) -> None:
    """Options that the configuration object doesn't know go beside it; none can be given twice."""
    config = S3EncryptionClientConfig(KmsKeyring(kms, KMS_KEY_ARN))
    s3.store(PLAINTEXT, {})
    client: Any = S3EncryptionClient(s3.plain, config, allow_plaintext_reads=True)
    assert read(client, s3) == PLAINTEXT
    twice: dict[str, Any] = {"keyring": config.keyring, "commitment_policy": config.commitment_policy}
    with pytest.raises(ConfigurationError, match="commitment_policy, keyring: say it in the configuration"):
        S3EncryptionClient(s3.plain, config, **twice)
    with pytest.raises(S3EncryptionClientError, match="Exactly one"):
        S3EncryptionClient(s3.plain, config, aes_key=bytes(range(32)))


def test_users_subclass_stays_one(s3: StrictWorld, kms: FakeKms) -> None:
    """A subclass that overrides an operation is made in this form as well, and its override is called."""

    class Client(S3EncryptionClient):
        def put_object(self, **params: Any) -> Any:
            return super().put_object(**{**params, "Body": params["Body"].upper()})

    client: Any = Client(s3.plain, S3EncryptionClientConfig(KmsKeyring(kms, KMS_KEY_ARN)))
    assert isinstance(client, Client)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert read(client, s3) == PLAINTEXT.upper()


@pytest.mark.parametrize(
    "options",
    [
        {"encryption_algorithm": AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF},
        {"encryption_algorithm": AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF},
        {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT},
        {**V2_OPTIONS, "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT},
        {**V2_OPTIONS, "encryption_algorithm": AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF},
        {"commitment_policy": "RequireEncryptRequireDecrypt"},
        {"cmm": object()},
    ],
    ids=["CBC", "V2-and-require", "V3-and-forbid", "V2-and-allow", "CBC-and-forbid", "policy-text", "own-manager"],
)
def test_contradictory_configuration_is_refused(kms: FakeKms, options: dict[str, Any]) -> None:
    """Algorithm and policy must fit, as there; what can't be honoured is refused, by the error that its users catch."""
    with pytest.raises(S3EncryptionClientError):
        S3EncryptionClientConfig(KmsKeyring(kms, KMS_KEY_ARN), **options)


@pytest.mark.parametrize("switch", ["no", None, 1])
def test_keyrings_switch_is_strict(s3: StrictWorld, kms: FakeKms, switch: Any) -> None:
    """The keyring's switch is a bool, and so are those of the configuration."""
    with pytest.raises(S3EncryptionClientError):
        KmsKeyring(kms, KMS_KEY_ARN, enable_legacy_wrapping_algorithms=switch)
    with pytest.raises(S3EncryptionClientError):
        made(s3, kms, enable_delayed_authentication=switch)


def test_materials_manager_holds_the_keyring(s3: StrictWorld, kms: FakeKms) -> None:
    """The keyring of the materials manager is the one that is used."""
    manager = DefaultCryptoMaterialsManager(KmsKeyring(kms, KMS_KEY_ARN))
    config = S3EncryptionClientConfig(keyring=AesKeyring(bytes(range(32))), cmm=manager)
    client: Any = S3EncryptionClient(s3.plain, config)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert kms.count("generate_data_key") == 1


# --- defaults ---------------------------------------------------------------------------------------------------------


def test_v2_is_written_where_asked_for(s3: StrictWorld, kms: FakeKms) -> None:
    """With the older algorithm and the policy that goes with it, V2 is written."""
    made(s3, kms, **V2_OPTIONS).put_object(**s3.object_at(), Body=PLAINTEXT)
    assert s3.metadata_stored()["x-amz-cek-alg"] == "AES/GCM/NoPadding"


def test_row_k1_older_objects_need_the_policy(s3: StrictWorld, kms: FakeKms) -> None:
    """Nothing older than V3 is read by default, and KMS is not asked; with the policy that allows it, it is."""
    made(s3, kms, **V2_OPTIONS).put_object(**s3.object_at(), Body=PLAINTEXT)
    with pytest.raises(S3EncryptionClientError, match="REQUIRE_ENCRYPT_ALLOW_DECRYPT"):
        read(made(s3, kms), s3)
    assert kms.count("decrypt") == 0
    assert read(made(s3, kms, **V3_AND_OLDER), s3) == PLAINTEXT


@pytest.mark.parametrize("vector", WRITTEN_BY_IT, ids=lambda vector: vector.name)
def test_what_it_wrote_is_read(s3: StrictWorld, kms: FakeKms, vector: Vector) -> None:
    """Objects that it has stored are read, with the options that it needs itself."""
    assert vector.kms is not None
    kms.load(KMS_RECORDS)
    s3.store(vector.body, vector.metadata)
    policy = {} if vector.format == "V3" else V3_AND_OLDER
    config = S3EncryptionClientConfig(KmsKeyring(kms, vector.kms.key_id), **policy)
    client: Any = S3EncryptionClient(s3.plain, config)
    assert read(client, s3, EncryptionContext=dict(vector.encryption_context)) == vector.plaintext


def test_all_that_it_wrote_is_there() -> None:
    """Objects of both formats are among them."""
    assert {vector.format for vector in WRITTEN_BY_IT} == {"V2", "V3"}


def test_envelope_is_among_the_metadata(s3: StrictWorld, kms: FakeKms) -> None:
    """As with that client, Metadata is all that S3 has; and it may be written back."""
    client = made(s3, kms)
    client.put_object(**s3.object_at(), Body=PLAINTEXT, Metadata={"a": "b"})
    for answer in (client.get_object(**s3.object_at()), client.head_object(**s3.object_at())):
        assert answer["Metadata"] == s3.metadata_stored()
        assert "EncryptionEnvelope" not in answer
    client.put_object(**s3.object_at(), Body=PLAINTEXT, Metadata=client.head_object(**s3.object_at())["Metadata"])
    assert read(client, s3) == PLAINTEXT
    assert s3.metadata_stored()["a"] == "b"


# --- calls ------------------------------------------------------------------------------------------------------------

UPLOADS: dict[str, Callable[[Any, World, str], Any]] = {
    "by-position": lambda client, s3, name: client.upload_file(name, s3.bucket, KEY),
    "by-name": lambda client, s3, name: client.upload_file(filename=name, bucket=s3.bucket, key=KEY),
    "sizes-by-position": lambda client, s3, name: client.upload_file(name, s3.bucket, KEY, 6_000_000, 5_242_880),
    "chunk-size-only": lambda client, s3, name: client.upload_file(name, s3.bucket, KEY, None, 5_242_880),
    "sizes-by-name": lambda client, s3, name: client.upload_file(
        name, s3.bucket, KEY, multipart_threshold=6_000_000, multipart_chunksize=5_242_880
    ),
    "no-sizes": lambda client, s3, name: client.upload_file(
        name, s3.bucket, KEY, multipart_threshold=None, multipart_chunksize=None
    ),
    "A1-as-boto3": lambda client, s3, name: client.upload_file(Filename=name, Bucket=s3.bucket, Key=KEY),
    "A2-as-boto3-by-position": lambda client, s3, name: client.upload_file(name, s3.bucket, KEY, {}, None, None),
    "A2-as-boto3-by-name": lambda client, s3, name: client.upload_file(
        name, s3.bucket, KEY, ExtraArgs=None, Callback=None, Config=None
    ),
    "fileobj": lambda client, s3, name: client.upload_fileobj(io.BytesIO(Path(name).read_bytes()), s3.bucket, KEY),
    "fileobj-by-name": lambda client, s3, name: client.upload_fileobj(
        fileobj=io.BytesIO(Path(name).read_bytes()), bucket=s3.bucket, key=KEY, multipart_chunksize=5_242_880
    ),
    "fileobj-size-by-position": lambda client, s3, name: client.upload_fileobj(
        io.BytesIO(Path(name).read_bytes()), s3.bucket, KEY, 5_242_880
    ),
    "A1-fileobj-as-boto3": lambda client, s3, name: client.upload_fileobj(
        Fileobj=io.BytesIO(Path(name).read_bytes()), Bucket=s3.bucket, Key=KEY
    ),
    "resource": lambda client, s3, name: (
        type(boto3.resource("s3"))(client=client).Bucket(s3.bucket).upload_file(name, KEY)
    ),
    "L1-wrapped-client": lambda client, s3, name: client.wrapped_s3_client.upload_file(name, s3.bucket, KEY),
}
IN_PARTS = {"sizes-by-position", "sizes-by-name"}


@pytest.mark.parametrize("way", UPLOADS)
def test_uploads_take_both_forms(s3: StrictWorld, kms: FakeKms, tmp_path: Path, way: str) -> None:
    """Names in lower case, part sizes by position or by name, and boto3's own form: all arrive, encrypted."""
    source = tmp_path / "source"
    source.write_bytes(PLAINTEXT + bytes(6_500_000))
    client = made(s3, kms)
    UPLOADS[way](client, s3, str(source))
    assert read(client, s3) == source.read_bytes()
    assert PLAINTEXT not in s3.body_stored()
    if way in IN_PARTS:
        assert len(part_sizes(s3)) == 2


@pytest.mark.parametrize("method", ["upload_file", "upload_fileobj"])
def test_further_keywords_are_parameters_of_the_object(
    s3: StrictWorld, kms: FakeKms, tmp_path: Path, method: str
) -> None:
    """EncryptionContext, Metadata and the like are keywords of uploads; the caller's file is left open."""
    source = tmp_path / "source"
    source.write_bytes(PLAINTEXT)
    client = made(s3, kms)
    with source.open("rb") as file:
        upload = getattr(client, method)
        upload(
            file if method == "upload_fileobj" else source,
            s3.bucket,
            KEY,
            EncryptionContext=CONTEXT,
            Metadata={"a": "b"},
        )
        assert not file.closed
    assert s3.metadata_stored()["a"] == "b"
    assert read(client, s3, EncryptionContext=CONTEXT) == PLAINTEXT


@pytest.mark.parametrize(
    "options",
    [{"multipart_treshold": 1}, {"bucket": "other"}, {"Bucket": "other"}],
    ids=["misspelt", "twice", "twice-as-boto3"],
)
def test_wrong_arguments_of_uploads_are_refused(s3: StrictWorld, kms: FakeKms, options: dict[str, Any]) -> None:
    """A keyword that means nothing, or a second value for an argument, is an error and not ignored."""
    with pytest.raises((TypeError, ValueError)):
        made(s3, kms).upload_fileobj(io.BytesIO(PLAINTEXT), s3.bucket, KEY, **options)
    assert s3.requests == []


def test_last_part_may_be_announced(s3: StrictWorld, kms: FakeKms) -> None:
    """``IsLastPart`` is accepted and not needed: a multipart upload is the same object with it."""
    client = made(s3, kms)
    upload = client.create_multipart_upload(**s3.object_at(), EncryptionContext=CONTEXT)
    at = {**s3.object_at(), "UploadId": upload["UploadId"]}
    parts = [bytes(5 * 1024 * 1024), PLAINTEXT]
    etags = [
        client.upload_part(**at, PartNumber=number, Body=part, IsLastPart=number == len(parts))["ETag"]
        for number, part in enumerate(parts, start=1)
    ]
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    client.complete_multipart_upload(**at, MultipartUpload={"Parts": listed})
    assert read(client, s3, EncryptionContext=CONTEXT) == b"".join(parts)


def test_last_part_is_no_parameter_of_boto3s_form(s3: StrictWorld) -> None:
    """A client made otherwise knows boto3's parameters only."""
    with pytest.raises(Exception, match="IsLastPart"):
        s3.client().upload_part(**s3.object_at(), UploadId="1", PartNumber=1, Body=b"", IsLastPart=True)


@pytest.mark.parametrize("disabled", [False, True], ids=["read", "disabled"])
def test_instruction_files_are_read_unless_disabled(s3: StrictWorld, kms: FakeKms, disabled: bool) -> None:
    """Envelopes in instruction files are found; with ``disable_get_object``, they are not even asked for."""
    keyring = KmsKeyring(kms, KMS_KEY_ARN)
    writer: Any = S3EncryptionClient(s3.plain, keyring=keyring, envelope_location="instruction_file")
    writer.put_object(**s3.object_at(), Body=PLAINTEXT)
    s3.forget()
    files = InstructionFileConfig(disable_get_object=disabled)
    client = made(s3, kms, **V3_AND_OLDER, instruction_file_config=files)
    if not disabled:
        assert read(client, s3) == PLAINTEXT
        return
    with pytest.raises(S3EncryptionClientSecurityError):
        read(client, s3)
    assert not [request for request in s3.requests if request.path.endswith(".instruction")]


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delayed", [False, True], ids=["E2-verified-first", "E2-delayed"])
def test_change_is_caught_by_both_its_errors(s3: StrictWorld, kms: FakeKms, delayed: bool) -> None:
    """``except S3EncryptionClientSecurityError`` and ``except S3EncryptionClientError`` both catch a changed object."""
    client = made(s3, kms, enable_delayed_authentication=delayed)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(S3EncryptionClientSecurityError) as caught:
        read(client, s3)
    assert isinstance(caught.value, S3EncryptionClientError)


ITS_WORDS: dict[str, tuple[Kind, dict[str, Any], dict[str, str], list[str]]] = {
    "other-context": (
        V3_KMS,
        {},
        {"tenant": "8"},
        ["Provided encryption context does not match information retrieved from S3"],
    ),
    "no-commitment": (
        V2_KMS,
        {},
        {},
        [
            "cannot decrypt non-key-committing object when commitment policy is REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
            "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
        ],
    ),
    "older-wrap": (Kind("V2", "kms", GCM), V3_AND_OLDER, {}, ["Enable legacy wrapping algorithms"]),
    "older-wrap-and-content": (
        Kind("V2", "kms", CBC),
        V3_AND_OLDER,
        {},
        [
            "Enable legacy wrapping algorithms",
            "not configured to decrypt objects using legacy unauthenticated algorithm suites",
            "enable_legacy_unauthenticated_modes=True",
        ],
    ),
}


@pytest.mark.parametrize("fault", ITS_WORDS)
def test_errors_say_what_its_errors_say(s3: StrictWorld, fault: str) -> None:
    """A program that looks for the words of AWS's client in an error finds them, once, beside this library's own."""
    kind, options, context, words = ITS_WORDS[fault]
    encoder = Encoder()
    stored = encoder.write(kind, PLAINTEXT, description=CONTEXT)
    s3.store(stored.body, stored.metadata)
    with pytest.raises(S3EncryptionClientError) as caught:
        read(made(s3, encoder.kms, **options), s3, EncryptionContext=context)
    assert [str(caught.value).count(text) for text in words] == [1] * len(words)
    assert (caught.value.bucket, caught.value.key) == (s3.bucket, KEY)
    same = S3EncryptionClientConfig(KmsKeyring(encoder.kms, KMS_KEY_ARN), **options).options()
    with pytest.raises(type(caught.value)) as plain:
        read(s3.client(**same), s3, EncryptionContext=context)
    assert caught.value.args[0].startswith(plain.value.args[0])
    assert words[0] not in str(plain.value)


@pytest.mark.parametrize("spoil", ["body", "commitment"])
def test_failed_decryption_keeps_its_one_text(s3: StrictWorld, kms: FakeKms, spoil: str) -> None:
    """What fails to decrypt says so in the same words as in any other form, and tells no reasons apart."""
    client = made(s3, kms)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    if spoil == "body":
        s3.change_body(lambda body: bytes(len(body)))
    else:
        s3.change_metadata(KEY, x_amz_d=to_base64(bytes(28)))
    with pytest.raises(DecryptionError) as caught:
        read(client, s3)
    assert caught.value.args == (DecryptionError.MESSAGE,)


def test_row_e4_plain_object_is_caught(s3: StrictWorld, kms: FakeKms) -> None:
    """An object that is not encrypted is refused by the error that its users catch."""
    s3.store(PLAINTEXT, {})
    with pytest.raises(S3EncryptionClientError, match="allow_plaintext_reads"):
        read(made(s3, kms), s3)


def test_row_e1_errors_of_s3_are_botocores(s3: StrictWorld, kms: FakeKms) -> None:
    """What S3 answers can be caught by its own name, which there is hidden."""
    client = made(s3, kms)
    with pytest.raises(client.exceptions.NoSuchKey):
        read(client, s3)
    assert error_of(lambda: read(client, s3)).response["Error"]["Code"] == "NoSuchKey"


def test_row_e3_errors_of_kms_are_its_own(moto: World, kms_key_id: str) -> None:
    """A KMS key that does not exist is a ClientError of KMS."""
    with contextlib.closing(boto3.client("kms")) as kms_client:
        config = S3EncryptionClientConfig(KmsKeyring(kms_client, kms_key_id[:-1] + "x"))
        client: Any = S3EncryptionClient(moto.plain, config)
        with pytest.raises(ClientError, match="GenerateDataKey"):
            client.put_object(**moto.object_at(), Body=PLAINTEXT)
