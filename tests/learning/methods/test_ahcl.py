import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from terrahash.codes import unpack
from terrahash.encoder.learned import LearnedDatabase, linear_term, sweep
from terrahash.errors import EncoderError, InputError
from terrahash.learning.methods import make_method
from terrahash.learning.methods.ahcl import ADSH, AHCL, AHCLObjective
from terrahash.learning.methods.base import Problem

from .conftest import batch_of, output_of


def similarity(problem: Problem, rows: NDArray[np.int64], ratio: float) -> NDArray[np.float64]:
    """S by its definition."""
    shared = (problem.targets[rows].astype(int) @ problem.targets.T.astype(int)) > 0
    return np.where(shared, 1.0, -ratio)


def started(problem: Problem, method: AHCL | None = None, queries: int = 40) -> AHCLObjective:
    """An objective with random activations of some queries."""
    torch.manual_seed(0)
    objective = (method or AHCL()).objective(problem)
    assert isinstance(objective, AHCLObjective)
    objective.begin_epoch(torch.randperm(60)[:queries].sort().values, 0.0)
    return objective


def cost(objective: AHCLObjective, problem: Problem) -> float:
    """J of the database codes."""
    rows = objective.chosen.nonzero()[:, 0].numpy()
    mine = objective.activations.numpy()[rows].astype(float)
    codes = objective.codes.numpy().T.astype(float)
    wanted = codes.shape[1] * similarity(problem, rows, float(objective.ratio))
    pairs = ((mine @ codes.T - wanted) ** 2).sum()
    return float(pairs + objective.pull * ((codes[rows] - mine) ** 2).sum())


def test_similarities_add_up_to_nothing(balanced: Problem) -> None:
    objective = started(balanced)
    rows = objective.chosen.nonzero()[:, 0].numpy()
    wanted = similarity(balanced, rows, float(objective.ratio))
    assert wanted.min() == pytest.approx(-1 / 5)  # −1/(C−1) for classes of one size
    assert wanted.sum() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("kind", ["balanced", "label_sets"])
def test_the_linear_term_is_that_of_the_formula(kind: str, request: pytest.FixtureRequest) -> None:
    problem: Problem = request.getfixturevalue(kind)
    rows = np.arange(0, 60, 2)
    mine = np.random.default_rng(0).uniform(-1, 1, (30, 16)).astype(np.float32)
    linear = linear_term(mine, problem.targets[rows], problem.targets, 0.25)
    expected = -2 * 16 * similarity(problem, rows, 0.25).T @ mine
    np.testing.assert_allclose(linear.T, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("start", [True, False])
def test_the_discrete_step_never_raises_the_cost(balanced: Problem, start: bool) -> None:
    objective = started(balanced, AHCL(random_start=start))
    fixed = torch.rand(60, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    objective.activations[:] = fixed
    costs = [cost(objective, balanced)]
    for _ in range(6):
        objective.end_epoch(lambda rows: fixed[rows])
        costs.append(cost(objective, balanced))
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(costs))
    assert costs[-1] == costs[-2] < costs[0]  # a fixed point
    assert set(objective.codes.unique().tolist()) == {-1.0, 1.0}


def test_no_order_of_bits_raises_the_cost() -> None:
    random = np.random.default_rng(0)
    mine = random.uniform(-1, 1, (50, 12)).astype(np.float32)
    linear = random.normal(0, 30, (12, 40)).astype(np.float32)
    gram = mine.T @ mine

    def value(codes: NDArray[np.float32]) -> float:
        return float((codes * (gram @ codes)).sum() + (codes * linear).sum())

    for _ in range(5):
        order = random.permutation(12)
        codes = np.where(random.random((12, 40)) < 0.5, 1, -1).astype(np.float32)
        values = [value(codes)]
        for _ in range(20):
            shuffled = np.ascontiguousarray(codes[order])
            changed = sweep(
                shuffled, np.ascontiguousarray(linear[order]), gram[np.ix_(order, order)].copy()
            )
            codes[order] = shuffled
            values.append(value(codes))
            if not changed:
                break
        assert changed == 0
        assert (np.diff(values) <= 1e-2).all()


def test_each_bit_is_the_best_given_the_others() -> None:
    random = np.random.default_rng(1)
    mine = random.uniform(-1, 1, (30, 4)).astype(np.float32)
    linear = random.normal(0, 5, (4, 1)).astype(np.float32)
    codes = np.ones((4, 1), np.float32)
    while sweep(codes, linear, mine.T @ mine):
        pass

    def value(candidate: NDArray[np.float32]) -> float:
        return float(((mine @ candidate) ** 2).sum() + (candidate * linear).sum())

    for bit in range(4):
        flipped = codes.copy()
        flipped[bit] *= -1
        assert value(codes) <= value(flipped) + 1e-3


def test_the_loss_is_the_formula(balanced: Problem) -> None:
    objective = started(balanced, ADSH())
    rows = objective.chosen.nonzero()[:8, 0]
    mine = torch.rand(8, 16) * 2 - 1
    terms = objective(output_of(mine), batch_of(balanced, rows))
    codes = objective.codes.T
    wanted = 16 * torch.from_numpy(similarity(balanced, rows.numpy(), float(objective.ratio)))
    pairs = ((mine @ codes.T - wanted) ** 2).sum() / (60 * 8)
    pull = 200 * 60 / 505 * ((codes[rows] - mine) ** 2).sum() / (60 * 8)
    assert float(terms["similarity"]) == pytest.approx(float(pairs), rel=1e-5)
    assert float(terms["quantization"]) == pytest.approx(float(pull), rel=1e-5)
    assert set(terms) == {"similarity", "quantization"}


def test_published_starts_from_zero_with_a_fixed_weight_and_stale_activations(
    balanced: Problem,
) -> None:
    objective = started(balanced, AHCL.published())
    assert objective.pull == 200
    assert not objective.codes.any()
    rows = objective.chosen.nonzero()[:8, 0]
    mine = torch.rand(8, 16) * 2 - 1
    objective(output_of(mine, torch.zeros(8, 6)), batch_of(balanced, rows))
    objective.end_epoch(lambda rows: torch.full((len(rows), 16), 9.0))
    assert objective.activations[rows].equal(mine)


def test_queries_are_visited_in_the_same_order_twice(balanced: Problem) -> None:
    method = AHCL(queries=50)
    batches = list(method.batches(balanced, 16, torch.Generator().manual_seed(0)))
    visited = torch.cat(batches)
    assert len(visited) == 100
    assert visited[:50].equal(visited[50:])
    assert len(visited.unique()) == 50


def digests(count: int, first: int = 0) -> NDArray[np.uint8]:
    """Made-up digests."""
    values = np.zeros((count, 32), np.uint8)
    values[:, 0] = np.arange(first, first + count)
    return values


def table_of(problem: Problem) -> LearnedDatabase:
    """A table after some discrete steps with activations that tell the classes apart."""
    objective = started(problem)
    centres = torch.rand(6, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    mine = (torch.from_numpy(problem.targets).float() @ centres).tanh()
    for _ in range(5):
        objective.end_epoch(lambda rows: mine[rows])
    return objective.database(digests(len(problem.targets)))


def test_new_labelled_items_get_the_code_of_their_labels(balanced: Problem) -> None:
    table = table_of(balanced)
    fresh = table.assign(np.eye(6, dtype=bool))
    old = unpack(table.codes, 16)[::10].astype(int)
    distance = np.abs(old[:, None] - unpack(fresh, 16).astype(int)).sum(axis=2)
    assert (distance.argmin(axis=1) == np.arange(6)).all()
    extended = table.extended(digests(2, first=100), np.eye(6, dtype=bool)[[3, 3]])
    assert (extended.codes[-2:] == fresh[3]).all()
    assert extended.rows([digests(1, first=101)[0].tobytes().hex(), "00" * 31 + "01"]).tolist() == [
        61,
        -1,
    ]


def test_a_table_survives_its_file(label_sets: Problem) -> None:
    table = table_of(label_sets)
    again = LearnedDatabase.from_bytes(table.to_bytes())
    for name in ("digests", "codes", "activations", "targets"):
        assert (getattr(table, name) == getattr(again, name)).all()
    assert again.ratio == table.ratio
    with pytest.raises(EncoderError, match="damaged"):
        LearnedDatabase.from_bytes(table.to_bytes()[:50])
    with pytest.raises(InputError, match="do not fit the 6 classes"):
        again.assign(np.ones((2, 5), bool))


def test_adsh_is_ahcl_without_the_classifier(balanced: Problem) -> None:
    method = make_method("adsh")
    assert isinstance(method, AHCL)
    assert method.classification == 0
    assert method.head(balanced).classifier is None
    assert make_method("ahcl").head(balanced).classifier is not None


def test_label_sets_have_a_binary_semantic_term(label_sets: Problem) -> None:
    objective = started(label_sets, AHCL(classification=20.0))
    terms = objective(
        output_of(torch.zeros(6, 16), torch.zeros(6, 6)), batch_of(label_sets, [0] * 6)
    )
    assert float(terms["class"]) == pytest.approx(20 * 6 * np.log(2), rel=1e-5)


def test_zero_activations_of_a_bit_leave_it_as_it_is() -> None:
    codes = np.array([[1, -1]], np.float32)
    assert sweep(codes, np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32)) == 0
    assert codes.tolist() == [[1, -1]]
