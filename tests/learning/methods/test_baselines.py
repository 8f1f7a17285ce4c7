import math

import pytest
import torch

from terrahash.errors import DatasetError
from terrahash.learning.heads import HashOutput
from terrahash.learning.methods.base import Problem
from terrahash.learning.methods.csq import CSQ, hash_centers
from terrahash.learning.methods.dpsh import DPSH
from terrahash.learning.methods.greedyhash import GreedyHash
from terrahash.learning.methods.hashnet import HashNet
from terrahash.learning.methods.orthohash import OrthoHash

from .conftest import batch_of, output_of

ROWS = [0, 1, 10, 20]


def test_hadamard_centres_are_orthogonal_or_opposite() -> None:
    centers = hash_centers(21, 16)
    products = centers @ centers.T
    assert set(products.unique().tolist()) == {-16.0, 0.0, 16.0}
    assert len(centers.unique(dim=0)) == 21


@pytest.mark.parametrize(("classes", "bits"), [(45, 16), (21, 24), (30, 12)])
def test_random_centres_are_half_ones_and_differ(classes: int, bits: int) -> None:
    torch.manual_seed(0)
    centers = hash_centers(classes, bits)
    assert (centers.sum(dim=1) == 0).all()
    assert len(centers.unique(dim=0)) == classes


def test_csq_is_the_formula(balanced: Problem) -> None:
    objective = CSQ().objective(balanced)
    raw = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    terms = objective(HashOutput(raw, raw.tanh(), None), batch_of(balanced, ROWS))
    wanted = (objective.centers[[0, 0, 1, 2]] + 1) / 2
    share = (raw.tanh() + 1) / 2
    expected = -(wanted * share.log() + (1 - wanted) * (1 - share).log()).mean()
    assert float(terms["central"]) == pytest.approx(float(expected), rel=1e-5)
    gap = (raw.tanh().abs() - 1).square().mean()
    assert float(terms["quantization"]) == pytest.approx(1e-4 * float(gap), rel=1e-5)


def test_csq_draws_label_sets_to_the_majority_of_their_centres(label_sets: Problem) -> None:
    objective = CSQ().objective(label_sets)
    rows = [0]
    own = objective.centers[torch.from_numpy(label_sets.targets[0])]
    assert len(own) == 2
    agreed = own[0] == own[1]
    wanted = torch.where(agreed, own[0], objective.lots)
    perfect = HashOutput(20 * wanted[None], wanted[None], None)
    terms = objective(perfect, batch_of(label_sets, rows))
    assert float(terms["central"]) == pytest.approx(0, abs=1e-6)


def test_orthohash_is_the_formula(balanced: Problem) -> None:
    objective = OrthoHash(scale=8.0).objective(balanced)
    values = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    cosines = torch.nn.functional.cosine_similarity(values[:, None], objective.codes[None], dim=2)
    logits = 8 * cosines
    logits[torch.arange(4), [0, 0, 1, 2]] -= 8 * 0.3
    expected = -logits.log_softmax(dim=1)[torch.arange(4), [0, 0, 1, 2]].mean()
    terms = objective(output_of(values), batch_of(balanced, ROWS))
    assert float(terms["class"]) == pytest.approx(float(expected), rel=1e-5)


def test_orthohash_takes_one_class_an_image(label_sets: Problem) -> None:
    with pytest.raises(DatasetError, match="exactly one class"):
        OrthoHash().objective(label_sets)


def test_greedyhash_classifies_signs(balanced: Problem) -> None:
    head = GreedyHash(dropout=0.0).head(balanced)
    features = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    output = head(features)
    signed = torch.where(output.activations >= 0, 1.0, -1.0)
    assert output.logits is not None
    assert head.classifier is not None
    assert output.logits.allclose(head.classifier(signed), atol=1e-6)
    terms = GreedyHash(quantization=0.1).objective(balanced)(output, batch_of(balanced, ROWS))
    gap = (output.activations.abs() - 1).abs().pow(3).mean()
    assert terms["quantization"].item() == pytest.approx(0.1 * gap.item(), rel=1e-5)


def test_dpsh_is_the_formula(balanced: Problem) -> None:
    values = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    terms = DPSH(quantization=0.1).objective(balanced)(output_of(values), batch_of(balanced, ROWS))
    expected = 0.0
    for i in range(4):
        for j in range(4):
            angle = 0.5 * float(values[i] @ values[j])
            like = {i, j} == {0, 1}
            expected += (i != j) * (math.log1p(math.exp(angle)) - like * angle) / 12
    assert float(terms["likelihood"]) == pytest.approx(expected, rel=1e-4)
    gaps = (values.abs() - 1).square().mean()
    assert float(terms["quantization"]) == pytest.approx(0.1 * float(gaps), rel=1e-4)


def test_hashnet_steepens_and_weighs_pairs_alike(balanced: Problem) -> None:
    objective = HashNet(alpha=0.3).objective(balanced)
    objective.begin_epoch(torch.arange(60), 0.5)
    assert float(objective.beta) == pytest.approx(26**0.5)
    raw = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    terms = objective(HashOutput(raw, raw.tanh(), None), batch_of(balanced, ROWS))
    codes = (26**0.5 * raw).tanh()
    expected = 0.0
    for i in range(4):
        for j in range(4):
            if i == j:
                continue
            product = 0.3 * float(codes[i] @ codes[j])
            like = {i, j} == {0, 1}
            weight = 12 / 2 if like else 12 / 10
            expected += weight * (math.log1p(math.exp(product)) - like * product) / 12
    assert float(terms["likelihood"]) == pytest.approx(expected, rel=1e-5)
