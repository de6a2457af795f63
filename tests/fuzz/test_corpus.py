"""The fuzzers' inputs once more: those that are kept, and the good ones that fuzzing starts from."""

from __future__ import annotations

import pytest

from .targets import CORPUS, TARGETS, corpus

all_targets = pytest.mark.parametrize("name", TARGETS)


@all_targets
def test_kept_inputs_do_no_harm(name: str) -> None:
    """What once failed, or was hard to find, is accepted or refused as it should be."""
    kept = corpus(name)
    assert kept
    for data in kept:
        TARGETS[name].check(data)


@all_targets
def test_fuzzing_starts_from_good_inputs(name: str) -> None:
    """Every seed is accepted, so that a fuzzer explores more than the first refusal."""
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        assert target.check(seed), seed
        assert len(seed) <= target.max_bytes


def test_every_corpus_is_replayed() -> None:
    """A file of kept inputs without a target would be forgotten."""
    assert {path.stem for path in CORPUS.iterdir()} == set(TARGETS)
