import dataclasses

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch.nn import functional

from terrahash.codes import CodeLayout, distances, pack
from terrahash.errors import DatasetError, InputError
from terrahash.learning.methods.base import Problem
from terrahash.learning.methods.dhcl import DHCL, exponents

from .conftest import batch_of, make_problem, output_of


def proxy_slopes(method: DHCL) -> tuple[torch.Tensor, torch.Tensor]:
    """d(loss)/d(cos) at cosines from −1 to 1, of a positive and of a negative."""
    cosines = torch.linspace(-0.99, 0.99, 40)[:, None].requires_grad_()
    pull, push = exponents(cosines, method)
    own = torch.autograd.grad(torch.log1p(pull.exp()).sum(), cosines)[0]
    other = torch.autograd.grad(torch.log1p(push.exp()).sum(), cosines)[0]
    return own, other


def test_corrected_signs_draw_to_the_own_proxy_and_push_from_others() -> None:
    own, other = proxy_slopes(DHCL())
    assert (own < 0).all()
    assert (other > 0).all()


def test_published_signs_push_from_the_own_proxy() -> None:
    own, other = proxy_slopes(DHCL.published())
    assert (own > 0).all()
    assert not (other > 0).all()


def test_proxy_anchor_is_that_of_the_library(balanced: Problem) -> None:
    """As pytorch-metric-learning has it."""
    torch.manual_seed(0)
    objective = DHCL(proxy_loss="anchor").objective(balanced)
    rows = torch.randperm(60)[:25]
    embeddings = torch.rand(25, 16) * 2 - 1
    reference = ProxyAnchorLoss(6, 16, margin=0.1, alpha=32)
    reference.proxies.data = objective.proxies.data.clone()
    batch = batch_of(balanced, rows)
    terms = objective(output_of(embeddings, torch.zeros(25, 6)), batch)
    expected = reference(embeddings, batch.labels)
    assert terms["proxy"].detach().numpy() == pytest.approx(expected.detach().numpy(), rel=1e-5)


def test_published_binarization_is_of_sums(balanced: Problem) -> None:
    torch.manual_seed(0)
    method = DHCL.published()
    objective = method.objective(balanced)
    embeddings = torch.rand(20, 16) * 2 - 1
    batch = batch_of(balanced, list(range(0, 60, 3)))
    cosines = functional.normalize(embeddings) @ functional.normalize(objective.proxies).T
    expected = 0.0
    for proxy in range(6):
        for own in (True, False):
            chosen = cosines[batch.targets[:, proxy] == own, proxy]
            shift = (1.25 - chosen) if own else (chosen + 1.25)
            total = float((shift * (chosen - 0.75)).exp().sum())
            expected += 0.5 * (total - np.sign(total)) ** 2
    terms = objective(output_of(embeddings, torch.zeros(20, 6)), batch)
    assert float(terms["binarization"].detach()) == pytest.approx(expected, rel=1e-4)


def test_published_proxies_are_never_trained(balanced: Problem) -> None:
    assert not DHCL.published().objective(balanced).proxies.requires_grad
    assert DHCL().objective(balanced).proxies.requires_grad


def test_label_bits_are_of_fixed_width_and_tell_classes_apart() -> None:
    method = DHCL()
    layout = method.layout(32, 21)
    codes = method.label_codes(layout, 21)
    assert layout == CodeLayout(27, 5)
    assert codes.shape == (21, 5)
    assert len({tuple(code) for code in codes}) == 21
    assert codes[5].tolist() == [False, False, True, False, True]  # most significant first


def test_published_label_bits_come_on_top_and_count_half() -> None:
    layout = DHCL.published().layout(32, 21)
    assert layout == CodeLayout(32, 5, 0.5)
    one = np.zeros((1, 37), bool)
    other = one.copy()
    other[0, -1] = True
    assert distances(pack(one), pack(other), layout) == 0.5
    assert distances(pack(one), pack(other), CodeLayout(32, 5)) == 1


def test_label_bits_leave_something_to_learn() -> None:
    with pytest.raises(InputError, match="8 bits leave nothing to learn beside the 9 label bits"):
        DHCL().layout(8, 300)


def test_label_sets_are_refused(label_sets: Problem) -> None:
    with pytest.raises(DatasetError, match="exactly one class an image"):
        DHCL().objective(label_sets)


def test_one_class_is_refused() -> None:
    problem = make_problem(np.zeros(9, np.int64), classes=3, layout=CodeLayout(16))
    with pytest.raises(DatasetError, match="only 1"):
        DHCL().objective(problem)


def test_a_single_bug_is_named_in_the_variant() -> None:
    assert DHCL().variant == "corrected"
    assert DHCL.published().variant == "published"
    assert dataclasses.replace(DHCL.published(), scale=2.0).variant == "published"
    assert DHCL(label_weight=0.5).variant == "corrected, label_weight=0.5"
