from __future__ import annotations

import shlex
from typing import Any

import pytest

from terrahash.benchmark.specification import Specification
from terrahash.errors import InputError

SMALL: dict[str, Any] = {"data": ("scenes",), "methods": ("dhcl", "lsh"), "bits": (16, 32)}


def test_every_combination_is_a_run_and_seeds_come_last() -> None:
    specification = Specification(
        **SMALL, variants=("corrected", "published"), seeds=(0, 1), protocols=("within-test",)
    )
    runs = list(specification.runs())
    assert len(runs) == len(set(runs)) == 16
    assert [run.seed for run in runs] == [0] * 8 + [1] * 8
    assert runs[0].title == "scenes dhcl 16 bits seed 0"
    assert runs[1].title == "scenes dhcl published 16 bits seed 0"


def test_what_is_not_given_is_left_to_training() -> None:
    options = next(Specification(**SMALL).runs()).options()
    assert options == {
        "method": "dhcl",
        "variant": "corrected",
        "bits": 16,
        "seed": 0,
        "mode": "frozen",
    }


def test_the_command_names_no_file_of_this_machine() -> None:
    words = shlex.split(Specification(**SMALL, weights="/somewhere/w.safetensors").command)
    assert words[:3] == ["terrahash", "benchmark", "scenes"]
    assert words[words.index("--bits") + 1] == "16,32"
    assert words[-2:] == ["--out", "DIR"]
    assert not any("somewhere" in word for word in words)
    assert "--weights none" in Specification(**SMALL, weights="none").command


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bits": ()}, "without bits"),
        ({"seeds": (1, 1)}, "seeds: '1' is given twice"),
        ({"protocols": ("all-to-all",)}, "'all-to-all' is not known"),
        ({"variants": ("improved",)}, "'improved' is not known"),
        ({"mode": "thawed"}, "unknown mode 'thawed'"),
        ({"k": 0}, "k = 0"),
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Specification(**{**SMALL, **wrong})
