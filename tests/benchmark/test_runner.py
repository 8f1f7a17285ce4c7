from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import terrahash
from terrahash.benchmark import measuring
from terrahash.benchmark.job import Job, perform
from terrahash.benchmark.materials import Materials, data_title, identity
from terrahash.benchmark.processes import Ended, Listen, Processes
from terrahash.benchmark.results import RESULTS, read_results
from terrahash.benchmark.runner import Outcome, plan_benchmark, run_benchmark
from terrahash.benchmark.specification import Run, Specification
from terrahash.datasets import Dataset, load_dataset, split_from_text
from terrahash.errors import DatasetError, InputError
from tests.benchmark.conftest import MakeRecord

NETWORK: dict[str, Any] = {"backbone": "test_resnet", "weights": "none", "size": 48, "epochs": 2}


def specification(tiles: Path, **changes: Any) -> Specification:
    chosen: dict[str, Any] = {"data": (str(tiles),), "methods": ("dhcl",), "bits": (16,), "k": 5}
    return Specification(**{**chosen, **NETWORK, **changes})


class Pretend:
    """Does jobs in no time, in this process; some fail, and after some it is interrupted."""

    def __init__(
        self, make_record: MakeRecord, *, failing: str = "", interrupted_after: int = 1000
    ) -> None:
        self.make_record, self.failing = make_record, failing
        self.left = interrupted_after
        self.done: list[str] = []

    def __call__(self, job: Job, listen: Listen) -> Ended:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.done.append(job.run.title)
        if self.failing and self.failing in job.run.title:
            return Ended([], {"error": "TrainingError", "message": "no", "remedy": ""}, {})
        fields = {"run": job.identity, "bits_asked": job.run.bits, "method": job.run.method}
        return Ended(
            [self.make_record(**fields, protocol=each, k=job.k) for each in job.protocols],
            None,
            {"process_cpu_seconds": 1.0, "peak_memory": 1},
        )


def test_an_interrupted_benchmark_goes_on_and_repeats_nothing(
    tiles: Path, tmp_path: Path, make_record: MakeRecord
) -> None:
    asked = specification(tiles, methods=("dhcl", "hpsh"), bits=(16, 24))
    first, second = Pretend(make_record, interrupted_after=3), Pretend(make_record)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(asked, tmp_path, perform=first, jobs=1)
    assert run_benchmark(asked, tmp_path, perform=second, jobs=1) == Outcome(3, 1, ())
    assert len(first.done) == 3
    assert not set(first.done) & set(second.done)
    third = Pretend(make_record)
    assert run_benchmark(asked, tmp_path, perform=third, jobs=1) == Outcome(4, 0, ())
    assert third.done == []
    states = [entry.state for entry in plan_benchmark(asked, read_results(tmp_path), tmp_path)]
    assert states == ["finished"] * 4


def test_more_is_asked_of_an_old_folder(
    tiles: Path, tmp_path: Path, make_record: MakeRecord
) -> None:
    run_benchmark(specification(tiles), tmp_path, perform=Pretend(make_record), jobs=1)
    both = ("within-test", "test-to-train")
    wider = specification(tiles, protocols=both, bits=(16, 24))
    entries = plan_benchmark(wider, read_results(tmp_path), tmp_path)
    assert [entry.job.protocols for entry in entries if entry.job] == [both[1:], both]
    assert entries[0].seconds == pytest.approx(10.0 * 80 / 2100)  # 10 s for 2,100 images
    changed = specification(tiles, epochs=3)
    (entry,) = plan_benchmark(changed, read_results(tmp_path), tmp_path)
    assert entry.state == "to do"  # other numbers are another run


def test_a_failing_run_stops_no_other_and_is_tried_again(
    tiles: Path, tmp_path: Path, make_record: MakeRecord
) -> None:
    asked = specification(tiles, methods=("dhcl", "hpsh"), bits=(2, 16))  # 2 bits of 2 label bits
    outcome = run_benchmark(asked, tmp_path, perform=Pretend(make_record, failing="hpsh 16"))
    assert (outcome.finished, outcome.done, len(outcome.failed)) == (0, 1, 3)
    failures = [record for record in read_results(tmp_path) if record["kind"] == "failure"]
    messages = {record["title"].split(" ", 1)[1]: record["message"] for record in failures}
    assert "label bits" in messages["dhcl 2 bits seed 0"]
    assert messages["hpsh 16 bits seed 0"] == "no"
    again = Pretend(make_record)
    assert run_benchmark(asked, tmp_path, perform=again).done == 1
    assert [title.split(" ", 1)[1] for title in again.done] == ["hpsh 16 bits seed 0"]


def test_an_unreadable_image_fails_the_runs_of_its_data_set_alone(
    tiles: Path, tmp_path: Path, make_record: MakeRecord
) -> None:
    spoilt = tmp_path / "spoilt"
    for name in ("a", "b"):
        (spoilt / name).mkdir(parents=True)
        for number in range(8):
            (spoilt / name / f"{number}.png").write_bytes(f"no image {name} {number}".encode())
    asked = specification(tiles, data=(str(spoilt), str(tiles)), k=2)
    outcome = run_benchmark(asked, tmp_path / "out", perform=Pretend(make_record))
    assert (outcome.done, len(outcome.failed)) == (1, 1)
    (failure,) = (r for r in read_results(tmp_path / "out") if r["kind"] == "failure")
    assert "not an image" in failure["message"]


def test_what_is_unknown_is_refused_before_anything_runs(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown method 'sorcery'"):
        run_benchmark(specification(tiles, methods=("sorcery",)), tmp_path)
    with pytest.raises(DatasetError, match="nowhere"):
        run_benchmark(specification(tiles, data=("nowhere",)), tmp_path)


def test_methods_without_published_bugs_run_once(tiles: Path, tmp_path: Path) -> None:
    asked = specification(
        tiles, methods=("dhcl", "lsh"), variants=("corrected", "published"), bits=(16,)
    )
    entries = plan_benchmark(asked, [], tmp_path)
    assert [(entry.run.method, entry.run.variant) for entry in entries] == [
        ("dhcl", "corrected"),
        ("dhcl", "published"),
        ("lsh", "corrected"),
    ]


def test_the_identity_depends_on_what_the_result_depends_on(tiles: Path) -> None:
    materials = Materials()

    def named(**changes: Any) -> str:
        (run,) = specification(tiles, **changes).runs()
        return identity(materials.plan(run))

    assert named() == named(protocols=("test-to-all",)) == named(device="cpu")
    different: list[dict[str, Any]] = [
        {"methods": ("hpsh",)}, {"bits": (24,)}, {"seeds": (1,)}, {"epochs": 3}, {"size": 56},
        {"split": "50-50"}, {"variants": ("published",)}, {"mode": "finetune"},
    ]  # fmt: skip
    assert len({named(), *(named(**change) for change in different)}) == 1 + len(different)


def test_images_of_another_size_than_published_are_said_to_be(tmp_path: Path) -> None:
    def titled(name: str, sizes: list[tuple[int, int]]) -> str:
        files = []
        for number, size in enumerate(sizes):
            files.append(f"{number}.png")
            Image.new("RGB", size).save(tmp_path / files[-1])
        return data_title(Dataset(name, tmp_path, tuple(files), None, ()))

    assert titled("aid", [(150, 150)] * 3) == "AID at 150 px"
    assert titled("aid", [(600, 600)] * 3) == "AID"
    assert titled("ucmerced", [(256, 256), (256, 256), (247, 242)]) == "UC Merced Land Use"
    assert titled("aid", [(150, 140)]) == "AID at 150×140 px"
    assert titled("mine", [(10, 10)]) == "mine"


def test_a_process_that_dies_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    run = Run(
        data="scenes", method="dhcl", variant="corrected", bits=16, seed=0, mode="frozen",
        split="60-40", backbone=None, weights=None, size=None, epochs=None, device=None,
    )  # fmt: skip
    job = Job(run=run, identity="a", protocols=("within-test",), k=20, models=str(tmp_path))
    processes = Processes(tmp_path / "logs", module="tests.benchmark.dying")
    ended = processes(job, lambda message: None)
    assert ended.failure is not None
    assert "SIGKILL" in ended.failure["message"]
    assert "some last words" in ended.failure["message"]
    assert "--jobs" in ended.failure["remedy"]


def test_a_job_gives_what_train_and_evaluate_give(tiles: Path, tmp_path: Path) -> None:
    (run,) = specification(tiles).runs()
    plan = Materials().plan(run)
    trained = measuring.train_head(plan, _Quiet())
    dataset = load_dataset(str(tiles))
    split = split_from_text("60-40", dataset, seed=0)
    encoder = terrahash.train(dataset, split, method="dhcl", bits=16, **NETWORK)
    encoded = encoder.encode_files(dataset.paths)
    close = np.abs(encoded.activations) < 1e-4
    assert np.abs(trained.encoded.activations - encoded.activations).max() < 1e-4
    assert (((trained.encoded.activations >= 0) == (encoded.activations >= 0)) | close).all()
    for protocol in ("within-test", "test-to-train"):
        report = terrahash.evaluate(encoder, dataset, split, protocol=protocol, k=5).to_json()
        codes = trained.encoded.codes
        result = measuring.evaluate(plan, trained.encoded, codes, protocol, 5).to_json()
        if (codes == encoded.codes).all():
            assert result["map_at_k"] == report["map_at_k"]
            assert result["published"] == report["published"]
        assert result["n_database"] == report["n_database"]


class _Quiet:
    def note(self, text: str) -> None:
        pass

    def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
        pass


def test_learned_databases_are_measured_beside_the_networks(tiles: Path, tmp_path: Path) -> None:
    both = ("within-test", "test-to-train")
    (run,) = specification(tiles, methods=("ahcl",), protocols=both).runs()
    plan = Materials().plan(run)
    job = Job(run=run, identity=identity(plan), protocols=both, k=5, models=str(tmp_path))
    told: list[dict[str, Any]] = []
    records = perform(job, told.append)
    assert [(record["protocol"], record["database"]) for record in records] == [
        ("within-test", "network"),
        ("test-to-train", "network"),
        ("test-to-train", "learned"),
    ]
    assert {record["n_database"] for record in records[1:]} == {48}
    json.dumps(records, allow_nan=False)
    assert any(message.get("stage", "").startswith("training") for message in told)


def test_images_of_four_bands(tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    from terrahash.datasets.scenes_ms import generate_scenes_ms

    data = generate_scenes_ms(tmp_path / "tiles", size=32, per_class=8)
    (run,) = specification(data.root, methods=("itq",), bits=(8,)).runs()
    plan = Materials().plan(run)
    assert plan.backbone.preprocessing.channels == 4
    job = Job(
        run=run, identity=identity(plan), protocols=("within-test",), k=3, models=str(tmp_path)
    )
    (record,) = perform(job, lambda message: None)
    assert 0 < record["map_at_k"] <= 1


def test_a_fine_tuned_encoder_is_kept_and_measured_again_without_training(
    tiles: Path, tmp_path: Path
) -> None:
    (run,) = specification(tiles, mode="finetune", epochs=1).runs()
    plan = Materials().plan(run)
    told: list[dict[str, Any]] = []
    job = Job(
        run=run, identity=identity(plan), protocols=("within-test",), k=5, models=str(tmp_path)
    )
    (record,) = perform(job, told.append)
    (model,) = tmp_path.iterdir()
    assert terrahash.Encoder.load(model).bits == 16
    told.clear()
    (other,) = perform(replace(job, protocols=("test-to-train",)), told.append)
    assert not any(message.get("stage", "").startswith("training") for message in told)
    assert (other["n_database"], record["n_database"]) == (48, 32)
    assert other["training"] == record["training"]


@pytest.fixture
def killed(tiles: Path, tmp_path: Path) -> Iterator[tuple[list[str], Path, bytes]]:
    """A benchmark of two runs that was killed after its first; and what it had written."""
    out = tmp_path / "out"
    command = [
        sys.executable, "-c", "from terrahash.cli import main; main()", "benchmark", str(tiles),
        "--methods", "lsh", "--bits", "8,16", "--k", "5", "--jobs", "1", "--out", str(out),
        "--backbone", "test_resnet", "--weights", "none", "--size", "48", "--json",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            written = (out / RESULTS).read_bytes() if (out / RESULTS).exists() else b""
            if b'"kind": "result"' in written and written.endswith(b"\n"):
                break
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    yield command, out, (out / RESULTS).read_bytes()


def test_a_killed_benchmark_is_resumed(killed: tuple[list[str], Path, bytes]) -> None:
    command, out, before = killed
    finished = before.count(b'"kind": "result"')
    assert finished == 1
    with (out / RESULTS).open("ab") as file:
        file.write(b'{"format": 1, "kind": "result", "run": "torn')
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["runs"] == {"finished_before": finished, "done": 1, "failed": 0}
    assert (out / RESULTS).read_bytes().startswith(before)
    runs = Counter(r["run"] for r in read_results(out) if r["kind"] == "result")
    assert list(runs.values()) == [1, 1]
    assert [row["bits"] for row in summary["tables"][0]["rows"]] == [8, 16]
    assert "| LSH |" in (out / "report.md").read_text()
