"""Threads share one client, and nothing else."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
from attacks.counts import in_full
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.worlds import StrictWorld

from s3_encryption import CommitmentPolicy, KmsKeyring

THREADS = 16
OBJECTS = in_full(200, otherwise=25)
POLICIES = {
    "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "V3": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_co_01_ec_11_contents_and_contexts_of_threads_do_not_mix(
    s3: StrictWorld, kms: FakeKms, policy: CommitmentPolicy
) -> None:
    """Each object is written and read with a context of its own: all come back, and KMS saw each context twice."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN), commitment_policy=policy)

    def work(thread: int) -> list[bytes]:
        return [put_and_get(client, s3, thread, number) for number in range(OBJECTS)]

    with ThreadPoolExecutor(THREADS) as pool:
        contents = list(pool.map(work, range(THREADS)))
    assert contents == [[content_of(thread, number) for number in range(OBJECTS)] for thread in range(THREADS)]
    contexts = Counter((request["EncryptionContext"]["of"], operation) for operation, request in kms.calls)
    each = product(range(THREADS), range(OBJECTS), ("generate_data_key", "decrypt"))
    assert contexts == Counter((f"{thread}/{number}", operation) for thread, number, operation in each)


def content_of(thread: int, number: int) -> bytes:
    """Return what an object holds."""
    return f"object {number} of thread {thread}".encode()


def put_and_get(client: Any, s3: StrictWorld, thread: int, number: int) -> bytes:
    """Write an object, and return what is read."""
    named = {**s3.object_at(f"{thread}/{number}"), "EncryptionContext": {"of": f"{thread}/{number}"}}
    client.put_object(**named, Body=content_of(thread, number))
    content: bytes = client.get_object(**named)["Body"].read()
    return content
