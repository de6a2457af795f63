"""The table of options: what a client takes, shows and documents is what stands there."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from support.vectors import AES_KEYS

from s3_encryption import CommitmentPolicy, ConfigurationError, S3EncryptionClient
from s3_encryption._compat.aws import InstructionFileConfig, S3EncryptionClientConfig
from s3_encryption._keys.raw import AesKeyring
from s3_encryption._settings import KEY_OPTIONS, OPTIONS, Settings, check_one_key

ROOT = Path(__file__).resolve().parent.parent
OPTION_FIELDS = {option.name: option for option in dataclasses.fields(Settings)}
WRONG: dict[str, list[Any]] = {
    "commitment_policy": [None, "REQUIRE_ENCRYPT_ALLOW_DECRYPT", True],
    "content_algorithm": [5, b"AES/CBC/PKCS5Padding", "AES/CTR/NoPadding", ""],
    "buffer_size": [True, 1.5, "1", 0, -1, None],
    "envelope_location": [None, "file", True, ["metadata"]],
    "instruction_file_suffix": [None, "", "é", "\n", "x" * 257, b".instruction"],
}


def settings_with(options: Mapping[str, Any]) -> Settings:
    """Return settings with options, of which those for a key are left out."""
    return Settings(**{name: value for name, value in options.items() if name not in KEY_OPTIONS})


@pytest.mark.parametrize("name", OPTION_FIELDS)
def test_every_option_refuses_what_is_no_value_of_it(name: str) -> None:
    """A mistake in an option is an error at once, with the option's name or words; never a safeguard less."""
    for value in WRONG.get(name, [None, 1, 0, "False", "", []]):
        with pytest.raises(ConfigurationError, match=rf"{name}|instruction file suffix"):
            settings_with({name: value})


def test_defaults_are_the_safe_values() -> None:
    """Every switch is off; what is written is what every deployed reader knows."""
    defaults = dict(OPTIONS)
    assert all(defaults.pop(name) is None for name in KEY_OPTIONS)
    assert defaults.pop("commitment_policy") is CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    assert defaults.pop("content_algorithm") is None
    assert defaults.pop("buffer_size") == 64 * 1024 * 1024
    assert (defaults.pop("envelope_location"), defaults.pop("instruction_file_suffix")) == ("metadata", ".instruction")
    assert set(defaults.values()) == {False}
    assert Settings() == settings_with(OPTIONS)


def test_options_that_contradict_each_other_are_refused() -> None:
    """Instruction files can't be written and ignored at once."""
    with pytest.raises(ConfigurationError, match="contradicts"):
        Settings(ignore_instruction_files=True, envelope_location="instruction_file")


@pytest.mark.parametrize("given", [{}, {"keyring": 1, "aes_key": 2}, dict.fromkeys(KEY_OPTIONS, "x")])
def test_exactly_one_key_is_needed(given: dict[str, object]) -> None:
    """No key, or two, are refused; the message names the options."""
    with pytest.raises(ConfigurationError, match="Exactly one of keyring, kms_key_id, aes_key, rsa_key"):
        check_one_key({name: given.get(name) for name in KEY_OPTIONS})
    check_one_key({name: "x" if name == "aes_key" else None for name in KEY_OPTIONS})


def test_client_shows_every_option_with_its_default() -> None:
    """Signature and help name each option, so that editors and help() tell what the table says."""
    for callable_ in (S3EncryptionClient, S3EncryptionClient.__new__):
        parameters = inspect.signature(callable_).parameters
        assert {name: parameters[name].default for name in OPTIONS} == OPTIONS
        assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in OPTIONS)
    text = " ".join((S3EncryptionClient.__doc__ or "").split())
    sentences = {name: sentence for name, (_, sentence) in KEY_OPTIONS.items()}
    sentences |= {name: option.metadata["sentence"] for name, option in OPTION_FIELDS.items()}
    for name, sentence in sentences.items():
        assert f"{name}: {sentence}" in text
    assert all(len(line) <= 120 for line in (S3EncryptionClient.__doc__ or "").splitlines())


def test_client_takes_every_option() -> None:
    """An option that is in the table reaches the settings of the client."""
    changed: dict[str, Any] = {name: not default for name, default in OPTIONS.items() if isinstance(default, bool)} | {
        "buffer_size": 1,
        "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
    }
    client: Any = S3EncryptionClient(aes_key=AES_KEYS["aes256"], region_name="us-east-1", **changed)
    assert client._encryption.settings == Settings(**changed)
    client.close()


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_documented(name: str) -> None:
    """README or guide explain each option, by name."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert any(f"`{name}" in page.read_text("utf-8") or f"{name}=" in page.read_text("utf-8") for page in pages)


def test_switches_in_the_readme_are_those_of_the_table() -> None:
    """The README's table of switches has a row for each option but those that are told in another's row."""
    table = (ROOT / "README.md").read_text("utf-8").partition("## Switches")[2].partition("\n## ")[0]
    rows = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    told_in_another_row = {"instruction_file_suffix", "content_algorithm"}
    assert rows == OPTION_FIELDS.keys() - told_in_another_row
    assert all(f"`{name}" in table or f"{name}=" in table for name in told_in_another_row)


def test_aws_form_gives_options_of_the_table() -> None:
    """What a configuration object of AWS's client says is said by options that there are."""
    config = S3EncryptionClientConfig(
        AesKeyring(AES_KEYS["aes256"]), instruction_file_config=InstructionFileConfig(disable_get_object=True)
    )
    options = config.options()
    assert options.keys() <= OPTIONS.keys()
    settings = settings_with(options)
    assert settings.ignore_instruction_files
    assert settings.commitment_policy is CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT


def test_types_of_options_are_those_that_the_fields_have() -> None:
    """The annotations of the table are real types, which the defaults have."""
    hints = get_type_hints(Settings)
    assert all(isinstance(option.default, hints[name]) for name, option in OPTION_FIELDS.items())
