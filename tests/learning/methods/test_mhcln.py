import numpy as np
import pytest
import torch

from terrahash.codes import CodeLayout
from terrahash.errors import DatasetError
from terrahash.learning.methods.base import Problem
from terrahash.learning.methods.mhcln import MHCLN, balance

from .conftest import batch_of, make_problem, output_of


def terms_of(shares: torch.Tensor, method: MHCLN | None = None) -> dict[str, float]:
    """Loss terms of sigmoid activations: anchors, positives, negatives."""
    problem = make_problem(
        np.arange(len(shares)) % 2, classes=2, layout=CodeLayout(shares.shape[1])
    )
    objective = (method or MHCLN(margin=0.2)).objective(problem)
    batch = batch_of(problem, list(range(len(shares))))
    return {name: float(term) for name, term in objective(output_of(2 * shares - 1), batch).items()}


def test_all_one_half_costs_the_margin() -> None:
    terms = terms_of(torch.full((6, 8), 0.5))
    assert terms == pytest.approx({"triplet": 0.2, "push": 0.0, "balance": 0.0}, abs=1e-6)


def test_perfect_codes_leave_only_the_push() -> None:
    code = torch.tensor([1.0, 0, 1, 0, 1, 0, 1, 0])
    terms = terms_of(torch.stack([code, code, code, code, 1 - code, 1 - code]))
    assert terms == pytest.approx({"triplet": 0.0, "push": -0.001 / 4, "balance": 0.0}, abs=1e-6)


def test_the_triplet_term_is_the_formula() -> None:
    shares = torch.rand(9, 8, generator=torch.Generator().manual_seed(0))
    units = shares / shares.norm(dim=1, keepdim=True)
    anchors, positives, negatives = units.view(3, 3, 8)
    near = (anchors - positives).square().sum(1)
    far = (anchors - negatives).square().sum(1)
    expected = float((near - far + 0.2).clamp(min=0).mean())
    assert terms_of(shares)["triplet"] == pytest.approx(expected, abs=1e-6)


def test_balance_over_a_code_or_over_a_bit() -> None:
    halves = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert float(balance(halves, "code")) == 0
    assert float(balance(halves, "bit")) == pytest.approx(0.25)
    assert float(balance(halves.T, "bit")) == 0
    assert float(balance(halves.T, "code")) == pytest.approx(0.25)


def test_batches_are_disjoint_triplets_of_two_classes(balanced: Problem) -> None:
    method = MHCLN()
    generator = torch.Generator().manual_seed(0)
    labels = torch.from_numpy(balanced.targets.argmax(1))
    for batch in method.batches(balanced, 90, generator):
        anchors, positives, negatives = batch.view(3, -1)
        assert len(anchors) == 5  # half of a class of ten
        assert len(set(anchors.tolist()) | set(positives.tolist())) == 10
        assert labels[anchors].unique().tolist() == labels[positives].unique().tolist()
        assert len(labels[anchors].unique()) == len(labels[negatives].unique()) == 1
        assert int(labels[anchors][0]) != int(labels[negatives][0])


def test_a_large_class_gives_thirty_triplets() -> None:
    problem = make_problem(np.repeat(np.arange(2), 80), classes=2, layout=CodeLayout(16))
    batch = next(iter(MHCLN().batches(problem, 90, torch.Generator().manual_seed(0))))
    assert len(batch) == 90


def test_published_thirds_mix_up_small_classes(balanced: Problem) -> None:
    labels = torch.from_numpy(balanced.targets.argmax(1))
    method = MHCLN.published()
    assert method.variant == "published"
    batch = next(iter(method.batches(balanced, 90, torch.Generator().manual_seed(0))))
    anchors, positives, negatives = labels[batch].view(3, -1)
    assert len(anchors) == 6  # ten and ten images cut into three parts of six
    assert len(anchors.unique()) == len(negatives.unique()) == 1
    assert len(positives.unique()) == 2


def test_negatives_of_label_sets_share_nothing(label_sets: Problem) -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.from_numpy(label_sets.targets)
    for batch in MHCLN().batches(label_sets, 30, generator):
        anchors, positives, negatives = targets[batch].view(3, -1, 6)
        assert (anchors & positives).any(dim=1).all()
        assert not (anchors & negatives).any()


def test_a_class_of_one_image_is_refused() -> None:
    problem = make_problem(np.array([0, 0, 0, 1]), classes=2, layout=CodeLayout(16))
    with pytest.raises(DatasetError, match=r"2 images of a class.* class number 1 has 1"):
        MHCLN(margin=0.2).objective(problem)


def test_the_published_head_can_be_had() -> None:
    problem = Problem(2048, CodeLayout(32), np.ones((2, 2), bool))
    head = MHCLN(hidden=(1024, 512), dropout=0.0).head(problem)
    assert sum(parameter.numel() for parameter in head.parameters()) == 2_639_392
    bound = (3 * 4 / (2048 + 1024)) ** 0.5
    first = head.trunk[0].weight
    assert float(first.detach().abs().max()) == pytest.approx(bound, rel=1e-3)
    assert not head.hash.bias.detach().any()
