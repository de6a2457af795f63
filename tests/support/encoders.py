"""Objects as other clients write them under ``AES_KEY``: one record for each format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import encoder
from .encoder import Kind, Stored
from .worlds import KEY, World

_writer = encoder.Encoder()


@dataclass(frozen=True, slots=True)
class Encoder:
    """How objects of a format are made, and the switches that reading them needs."""

    kind: Kind
    notes_length: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The switches as client options."""
        return self.kind.switches

    @property
    def switches(self) -> tuple[str, ...]:
        """The names of the switches."""
        return tuple(self.kind.switches)

    def encode(self, plaintext: bytes) -> Stored:
        """Return what is stored of a plaintext."""
        stored = _writer.write(self.kind, plaintext)
        # Some writers leave an empty material description out of V3, this library among them.
        metadata = {name: text for name, text in stored.metadata.items() if name != "x-amz-m"}
        if self.notes_length:
            metadata["x-amz-unencrypted-content-length"] = str(len(plaintext))
        return Stored(metadata, stored.body)


ENCODERS: Mapping[str, Encoder] = {
    "V1": Encoder(encoder.V1_AES),
    "V2-CBC": Encoder(encoder.V2_AES_CBC, notes_length=True),
    "V2": Encoder(encoder.V2_AES),
    "V3": Encoder(encoder.V3_AES),
}
AUTHENTICATED = ("V2", "V3")

# The fields of V3 that stay with the object where the others are in an instruction file; older formats leave none.
WITH_OBJECT = {"V3": {"x-amz-c", "x-amz-d", "x-amz-i"}}


def store_with_file(world: World, format: str, plaintext: bytes) -> dict[str, str]:
    """Store an object with an instruction file, as another client writes it, and return the file's fields."""
    encoded = ENCODERS[format].encode(plaintext)
    with_object, file = encoder.instruction_file(encoded)
    world.store(encoded.body, with_object)
    world.store(file, {}, f"{KEY}.instruction")
    fields: dict[str, str] = json.loads(file)
    return fields
