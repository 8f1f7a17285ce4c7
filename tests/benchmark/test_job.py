from __future__ import annotations

import subprocess
import sys

import numpy as np

from terrahash.benchmark.job import Job, described, usage
from terrahash.benchmark.specification import Run
from terrahash.errors import InputError

SHOW = "from terrahash.benchmark.job import usage; print(usage()['peak_memory'])"


def test_a_job_survives_json() -> None:
    run = Run(
        data="scenes", method="dhcl", variant="corrected", bits=16, seed=0, mode="frozen",
        split="60-40", backbone=None, weights=None, size=None, epochs=3, device=None,
    )  # fmt: skip
    job = Job(run=run, identity="a", protocols=("within-test",), k=20, models="models")
    assert Job.from_json(job.to_json()) == job


def test_errors_keep_their_remedy() -> None:
    assert described(InputError("wrong", "mend it")) == {
        "error": "InputError",
        "message": "wrong",
        "remedy": "mend it",
    }
    assert described(KeyError("x"))["remedy"] == ""


def test_peak_memory_is_of_the_process_alone() -> None:
    large = np.ones(300 * 1024**2, np.uint8)  # of this process, not of the one it starts
    shown = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, check=True)
    assert 1024**2 < int(shown.stdout) < len(large) < usage()["peak_memory"]
