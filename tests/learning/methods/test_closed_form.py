import numpy as np
import pytest
from numpy.typing import NDArray

from terrahash.errors import InputError
from terrahash.learning.methods import make_method
from terrahash.learning.methods.itq import ITQ
from terrahash.learning.methods.lsh import LSH


@pytest.fixture
def features() -> NDArray[np.float32]:
    """400 correlated vectors, far from the origin."""
    random = np.random.default_rng(0)
    mixed = random.standard_normal((400, 24)) @ random.standard_normal((24, 24))
    return (mixed + 100).astype(np.float32)


def test_lsh_projects_centred_features_at_random(features: NDArray[np.float32]) -> None:
    weight, bias = LSH().solve(features, 16, 3)
    again, _ = LSH().solve(features, 16, 3)
    other, _ = LSH().solve(features, 16, 4)
    assert weight.shape == (16, 24)
    assert (weight == again).all()
    assert (weight != other).any()
    projected = features @ weight.T + bias
    assert np.abs(projected.mean(axis=0)).max() < 1e-2 * projected.std()


def test_itq_rotates_principal_components(features: NDArray[np.float32]) -> None:
    weight, bias = ITQ().solve(features, 8, 0)
    assert weight @ weight.T == pytest.approx(np.eye(8), abs=1e-5)
    centred = features - features.mean(axis=0)
    values = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    kept = ((centred @ weight.T) ** 2).sum()
    assert kept == pytest.approx(values[:8].sum(), rel=1e-4)
    assert np.abs((features @ weight.T + bias).mean(axis=0)).max() < 1e-2


def test_rotation_brings_components_nearer_to_signs(features: NDArray[np.float32]) -> None:
    def gap(iterations: int) -> float:
        weight, bias = ITQ(iterations=iterations).solve(features, 8, 0)
        projected = features @ weight.T + bias
        return float(((np.where(projected >= 0, 1, -1) - projected) ** 2).sum())

    assert gap(50) < gap(0)


def test_itq_wants_as_many_components_as_bits(features: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match=r"have 24: too few for 32 bits"):
        ITQ().solve(features, 32, 0)
    with pytest.raises(InputError, match="have 9"):
        ITQ().solve(features[:10], 16, 0)


@pytest.mark.parametrize("name", ["lsh", "itq"])
def test_there_is_nothing_to_fine_tune(name: str) -> None:
    with pytest.raises(InputError, match="nothing to fine-tune"):
        make_method(name).recipe("finetune")
