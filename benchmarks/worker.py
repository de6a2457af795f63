"""One process of a benchmark: one client, one case, one measurement. Started by the runner, which reads its output."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from .cases import case_named
from .clients import BUCKET, Client, make_client
from .meter import measured
from .work import Place, Work

_WARM_UP_KEY = "warm-up"

Step = Literal["store", "check", "measure"]


@dataclass(frozen=True)
class Order:
    """What a process is to do. ``control`` is the server's http address, ``endpoint`` the one to measure."""

    case: str
    kind: str
    step: Step
    endpoint: str
    control: str
    folder: str
    repeats: int

    def as_json(self) -> str:
        """Return the text that the process gets."""
        return json.dumps(asdict(self))

    @property
    def place(self) -> Place:
        """Where the work is done."""
        case = case_named(self.case)
        client = make_client(self.kind, self.endpoint, case.options)
        return Place(client, Path(self.folder), f"{self.case}/{self.kind}")


def _warm_up(client: Client) -> None:
    """Let everything be loaded, and a connection be open."""
    target = {"Bucket": BUCKET, "Key": f"{_WARM_UP_KEY}/{client.kind}"}
    client.s3.put_object(**target, Body=b"warm")
    client.s3.get_object(**target)["Body"].read()


def _measure(order: Order, place: Place, work: Work) -> str:
    work.prepare(place)
    _warm_up(place.client)
    return measured(lambda: work.run(place), order.repeats, order.control).as_json()


def execute(order: Order) -> str:
    """Do what is ordered, and return what is to be printed."""
    place, work = order.place, case_named(order.case).work()
    if order.step == "measure":
        return _measure(order, place, work)
    if order.step == "store":
        work.store(place)
    else:
        work.prepare(place)
        work.check(place)
    return ""


if __name__ == "__main__":
    print(execute(Order(**json.loads(sys.argv[1]))))
