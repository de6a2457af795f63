"""Parts of an object as they were uploaded, where S3 speaks of parts of the ciphertext."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from .._body.response import close_body
from .call import Call, error_code
from .stored_object import StoredObject, not_satisfiable, pinned, told_range


def parts_count(call: Call, answer: Mapping[str, Any], plaintext_length: int) -> int | None:
    """Return how many parts of an object hold plaintext: a last one with nothing but the tag, nobody has uploaded.

    Args:
        call: What has asked for one part, by its number.
        answer: S3's answer about that part.
        plaintext_length: The length of the whole object's plaintext, in bytes.

    Returns:
        None where the server says nothing of parts.
    """
    count: int | None = answer.get("PartsCount")
    if count is None or count == 1:
        return count
    if count != call.params.get("PartNumber"):
        answer = call.send("HeadObject", {**pinned(call.params, answer.get("ETag")), "PartNumber": count})
    last = told_range(answer)
    return count - 1 if last is not None and last[0] >= plaintext_length else count


def part_refusal(call: Call, error: ClientError) -> ClientError:
    """Return S3's refusal of a part: in its own words, which the answer to a head has not, and in plaintext terms."""
    try:
        close_body(call.send("GetObject", call.params)["Body"])
    except ClientError as refused:
        told = refused.response["Error"]
        if error_code(refused) == "InvalidPartNumber" and "ActualPartCount" in told:
            last = replace(call, params={**call.params, "PartNumber": int(told["ActualPartCount"])})
            head = call.send("HeadObject", last.params)
            length = StoredObject.of(last, head).plaintext_length
            count = None if length is None else parts_count(last, head, length)
            told.update({} if count is None else {"ActualPartCount": str(count)})
        return refused
    return error


def no_such_part(number: int, response: Mapping[str, Any]) -> ClientError:
    """Return the error that S3 gives for a part behind the last one."""
    told = {
        "Code": "InvalidPartNumber",
        "Message": "The requested partnumber is not satisfiable",
        "PartNumberRequested": str(number),
        "ActualPartCount": str(number - 1),
    }
    return not_satisfiable("GetObject", response, told)
