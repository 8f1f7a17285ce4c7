import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from terrahash.codes import CodeLayout
from terrahash.errors import DatasetError
from terrahash.learning.methods.base import Problem
from terrahash.learning.methods.hpsh import HPSH, negative_chances

from .conftest import batch_of, make_problem, output_of


@pytest.fixture
def embeddings() -> torch.Tensor:
    """30 positive unit vectors in 16 dimensions."""
    values = torch.rand(30, 16, generator=torch.Generator().manual_seed(0))
    return functional.normalize(values)


@pytest.fixture
def related() -> torch.Tensor:
    """Six classes of five."""
    labels = torch.arange(30) // 5
    return labels[:, None] == labels


def test_chances_follow_the_inverse_density_of_distances(
    embeddings: torch.Tensor, related: torch.Tensor
) -> None:
    chances = negative_chances(embeddings, related, "distance")
    assert chances[related].abs().max() == 0
    assert chances.sum(dim=1).allclose(torch.ones(30))
    row, one, other = 0, 7, 22

    def weight(column: int) -> float:
        distance = max(0.5, float((embeddings[row] - embeddings[column]).norm()))
        return distance ** (2 - 16) * (1 - distance**2 / 4) ** (-(16 - 3) / 2)

    expected = weight(one) / weight(other)
    assert float(chances[row, one] / chances[row, other]) == pytest.approx(expected, rel=1e-3)


def test_drawn_negatives_have_those_chances() -> None:
    generator = torch.Generator().manual_seed(1)
    problem = make_problem(np.repeat(np.arange(4), 3), classes=4, layout=CodeLayout(8))
    objective = HPSH(images_per_class=3).objective(problem)
    embeddings = functional.normalize(torch.rand(12, 8, generator=generator))
    targets = torch.from_numpy(problem.targets)
    chances = negative_chances(embeddings, (targets.float() @ targets.float().T) > 0, "distance")
    torch.manual_seed(0)
    counts = torch.zeros(12)
    rounds = 2000
    for _ in range(rounds):
        anchors, positives, negatives = objective.triplets(embeddings, targets)
        assert len(anchors) == 12 * 2
        assert not (targets[anchors] & targets[negatives]).any()
        assert (targets[anchors] & targets[positives]).any(dim=1).all()
        assert not (anchors == positives).any()
        counts += torch.bincount(negatives[anchors == 0], minlength=12)
    expected = chances[0] * rounds * 2
    possible = expected > 0
    chi_squared = float(((counts - expected).square()[possible] / expected[possible]).sum())
    assert chi_squared < 30  # 8 degrees of freedom: p < 0.0003


def test_without_a_near_negative_all_are_equally_likely() -> None:
    embeddings = torch.eye(6)  # all at √2 from each other
    related = torch.eye(6, dtype=torch.bool)
    chances = negative_chances(embeddings, related, "distance")
    assert chances.allclose((~related).float() / 5)


def test_published_sampling_is_nearly_uniform_and_draws_the_own_class() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = functional.normalize(torch.rand(105, 32, generator=generator))
    labels = torch.arange(105) // 5
    related = labels[:, None] == labels
    chances = negative_chances(embeddings, related, "published")
    assert float(chances[related].sum() / 105) == pytest.approx(5 / 105, abs=0.005)
    assert float(chances.diagonal().mean()) == pytest.approx(0.0094, abs=0.001)


def test_published_quantization_has_its_floor() -> None:
    """Codes of half ones cannot get below (3T·K/2·[ln cosh √(2/K)]²)/100 (acceptance test 5)."""
    bits, classes, each = 32, 21, 5
    problem = make_problem(
        np.repeat(np.arange(classes), each), classes=classes, layout=CodeLayout(bits)
    )
    order = torch.rand(classes, bits, generator=torch.Generator().manual_seed(0)).argsort(1)
    codes = (order < bits // 2).float().repeat_interleave(each, 0)
    objective = HPSH(quantized="normalized").objective(problem)
    terms = objective(output_of(2 * codes - 1), batch_of(problem, list(range(105))))
    floor = 3 * 420 * bits / 2 * math.log(math.cosh(math.sqrt(2 / bits))) ** 2 / 100
    assert float(terms["quantization"]) == pytest.approx(floor, rel=1e-3)
    assert floor == pytest.approx(6.3 / bits, rel=0.05)
    corrected = HPSH().objective(problem)
    terms = corrected(output_of(2 * codes - 1), batch_of(problem, list(range(105))))
    assert float(terms["quantization"]) == pytest.approx(0, abs=1e-9)


def test_the_margin_term_is_the_formula(balanced: Problem) -> None:
    torch.manual_seed(0)
    shares = torch.rand(30, 16)
    batch = batch_of(
        balanced, [row for start in range(0, 60, 10) for row in range(start, start + 5)]
    )
    objective = HPSH().objective(balanced)
    torch.manual_seed(5)
    terms = objective(output_of(2 * shares - 1), batch)
    units = functional.normalize(shares)
    torch.manual_seed(5)
    anchors, positives, negatives = objective.triplets(units, batch.targets)
    near = (units[anchors] - units[positives]).norm(dim=1)
    far = (units[anchors] - units[negatives]).norm(dim=1)
    expected = ((near - 0.3).clamp(min=0) + (0.9 - far).clamp(min=0)).mean()
    assert float(terms["margin"]) == pytest.approx(float(expected), rel=1e-4)


def test_batches_hold_five_of_each_class_in_order(balanced: Problem) -> None:
    labels = balanced.targets.argmax(1)
    for batch in HPSH().batches(balanced, 300, torch.Generator().manual_seed(0)):
        groups = labels[batch.numpy()].reshape(6, 5)
        assert (groups == groups[:, :1]).all()
        assert sorted(groups[:, 0]) == list(range(6))
        assert len(set(batch.tolist())) == 30


def test_many_classes_are_taken_some_at_a_time(balanced: Problem) -> None:
    batch = next(iter(HPSH().batches(balanced, 20, torch.Generator().manual_seed(0))))
    assert len(batch) == 20


def test_label_sets_never_get_a_related_negative(label_sets: Problem) -> None:
    method = HPSH()
    objective = method.objective(label_sets)
    targets = torch.from_numpy(label_sets.targets)
    rows = next(iter(method.batches(label_sets, 300, torch.Generator().manual_seed(0))))
    units = functional.normalize(torch.rand(len(rows), 16))
    anchors, positives, negatives = objective.triplets(units, targets[rows])
    mine = targets[rows]
    assert (mine[anchors] & mine[positives]).any(dim=1).all()
    assert not (mine[anchors] & mine[negatives]).any()


def test_too_small_a_class_is_refused_by_name() -> None:
    targets = np.repeat(np.arange(3), [5, 9, 4])[:, None] == np.arange(3)
    problem = Problem(12, CodeLayout(16), targets, ("river", "road", "dock"))
    with pytest.raises(DatasetError, match=r"5 images of a class.*'dock' has 4"):
        HPSH().objective(problem)
