"""Samplers against mixtures of Gaussians, whose denoiser is known in closed form."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch

from armflow.learning.score import (
    SAMPLERS,
    Sampler,
    guide,
    sample_ddim,
    sample_dpm_2,
    sample_dpm_2_ancestral,
    sample_dpmpp_2m,
    sample_dpmpp_2m_sde,
    sample_dpmpp_2s,
    sample_dpmpp_2s_ancestral,
    sample_euler,
    sample_euler_ancestral,
    sample_heun,
    sample_lms,
    schedule_karras,
)
from armflow.learning.score.multi_step import adams_bashforth
from armflow.learning.score.steps import split_noise
from armflow.robot.errors import ShapeError, ValueRangeError
from tests.learning.mixtures import three_blobs, two_hills

MIXTURE = three_blobs()
HILLS = two_hills()
SIGMA_MAX = 40.0
STOCHASTIC = {"euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2m_sde"}
ORDERS = {
    "ddim": (sample_ddim, 1),
    "euler": (sample_euler, 1),
    "heun": (sample_heun, 2),
    "dpm_2": (sample_dpm_2, 2),
    "dpmpp_2s": (sample_dpmpp_2s, 2),
    "dpmpp_2m": (sample_dpmpp_2m, 2),
    "lms_1": (partial(sample_lms, order=1), 1),
    "lms_2": (partial(sample_lms, order=2), 2),
    "lms_3": (partial(sample_lms, order=3), 3),
    "lms_4": (partial(sample_lms, order=4), 4),
}


def noise(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * SIGMA_MAX


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """Four thousand samples of each sampler in sixty steps."""
    sigmas = schedule_karras(60, 0.005, SIGMA_MAX)
    generator = torch.Generator().manual_seed(1)
    return {
        name: sampler(MIXTURE.denoise, noise(4000), sigmas, generator=generator).numpy()
        for name, sampler in SAMPLERS.items()
    }


def flow_to_a_tenth(sampler: Sampler, n: int) -> torch.Tensor:
    """Where n steps from level 20 carry a row of points at level 0.1, without the last step to 0."""
    x = 20 * torch.linspace(-2, 2, 21, dtype=torch.float64)[:, None]
    return sampler(HILLS.denoise, x, schedule_karras(n + 1, 0.1, 20.0)[:-1])


@pytest.fixture(scope="module")
def exact_flow() -> torch.Tensor:
    """The same, to about ten digits."""
    return flow_to_a_tenth(sample_lms, 1000)


def test_the_mixtures_denoiser_is_the_slope_of_its_density():
    x, sigma = noise(20) / SIGMA_MAX, torch.tensor(0.7, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (score,) = torch.autograd.grad(MIXTURE.log_density(leaf, sigma).sum(), leaf)
    torch.testing.assert_close(MIXTURE.denoise(x, sigma), x + sigma**2 * score)


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_draws_the_right_mean_and_covariance(name: str, drawn: dict[str, np.ndarray]):
    # Deviations of a mean of 4000 are below 0.016; five of them, and as much again for the error of sixty steps.
    np.testing.assert_allclose(drawn[name].mean(0), MIXTURE.mean(), atol=0.08)
    np.testing.assert_allclose(np.cov(drawn[name].T), MIXTURE.covariance(), atol=0.1)


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_draws_each_blob_as_often_as_its_weight(name: str, drawn: dict[str, np.ndarray]):
    nearest = np.linalg.norm(drawn[name][:, None] - MIXTURE.means.numpy(), axis=-1).argmin(1)
    shares = np.bincount(nearest, minlength=3) / len(nearest)
    np.testing.assert_allclose(shares, MIXTURE.weights.numpy(), atol=0.04)  # five deviations of a share of 4000


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_draws_the_right_distribution_in_every_direction(name: str, drawn: dict[str, np.ndarray]):
    for angle in np.linspace(0, np.pi, 6, endpoint=False):
        direction = np.array([np.cos(angle), np.sin(angle)])
        values = np.sort(drawn[name] @ direction)
        distance = np.abs(MIXTURE.below(values, direction) - (np.arange(len(values)) + 0.5) / len(values)).max()
        # Kolmogorov: 2.7 / sqrt(n) = 0.043 is exceeded by chance once in 10^6.
        assert distance < 0.043


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_draws_are_near_exact_samples_in_energy_distance(name: str, drawn: dict[str, np.ndarray]):
    rng = np.random.default_rng(2)
    kinds = rng.choice(3, size=1000, p=MIXTURE.weights.numpy())
    roots = np.linalg.cholesky(MIXTURE.covariances.numpy())
    exact = MIXTURE.means.numpy()[kinds] + np.einsum("nij,nj->ni", roots[kinds], rng.standard_normal((1000, 2)))
    ours = drawn[name][:1000]

    def between(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a[:, None] - b, axis=-1).mean())

    # Two exact sets of 1000 stay below 0.01; taking one blob's weight wrong by a tenth gives 0.02.
    assert 2 * between(ours, exact) - between(ours, ours) - between(exact, exact) < 0.012


@pytest.mark.parametrize("name", ORDERS)
def test_error_falls_with_the_order_of_the_sampler(name: str, exact_flow: torch.Tensor):
    sampler, order = ORDERS[name]
    errors = [(flow_to_a_tenth(sampler, n) - exact_flow).abs().mean() for n in (50, 100, 200)]
    rates = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert all(abs(rate - order) < 0.3 for rate in rates), rates


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_linear_multistep_weights_integrate_polynomials_below_their_order_exactly(order: int):
    levels, there = [2.0, 2.7, 3.1, 4.6][:order], 1.2
    weights = adams_bashforth(levels, there)
    for power in range(order):
        exact = (there ** (power + 1) - levels[0] ** (power + 1)) / (power + 1)
        assert sum(w * level**power for w, level in zip(weights, levels, strict=True)) == pytest.approx(exact)


def test_ddim_and_euler_are_the_same_map():
    sigmas = schedule_karras(5, 0.01, SIGMA_MAX)
    ours = [sample(MIXTURE.denoise, noise(50), sigmas) for sample in (sample_ddim, sample_euler)]
    torch.testing.assert_close(*ours)


@pytest.mark.parametrize(
    ("stochastic", "deterministic"),
    [
        (sample_euler_ancestral, sample_euler),
        (sample_dpm_2_ancestral, sample_dpm_2),
        (sample_dpmpp_2s_ancestral, sample_dpmpp_2s),
        (sample_dpmpp_2m_sde, sample_dpmpp_2m),
    ],
)
def test_a_stochastic_sampler_without_noise_is_its_deterministic_twin(stochastic, deterministic):
    sigmas = schedule_karras(7, 0.01, SIGMA_MAX)
    ours = [stochastic(MIXTURE.denoise, noise(50), sigmas, eta=0.0), deterministic(MIXTURE.denoise, noise(50), sigmas)]
    torch.testing.assert_close(*ours)


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_to_zero_gives_the_denoisers_estimate(name: str):
    x = noise(10)
    sample = SAMPLERS[name](MIXTURE.denoise, x, torch.tensor([SIGMA_MAX, 0.0]))
    torch.testing.assert_close(sample, MIXTURE.denoise(x, torch.tensor(SIGMA_MAX, dtype=torch.float64)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_finds_the_point_of_a_constant_denoiser(name: str):
    point = torch.tensor([0.3, -0.2], dtype=torch.float64)
    sigmas = schedule_karras(6, 0.01, SIGMA_MAX)
    sample = SAMPLERS[name](lambda x, _: point.expand_as(x), noise(10), sigmas)
    torch.testing.assert_close(sample, point.expand(10, 2), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["ddim", "euler", "heun", "dpm_2", "lms"])
def test_a_sampler_along_the_slope_is_exact_where_the_slope_is_constant(name: str):
    direction = torch.tensor([0.3, -0.2], dtype=torch.float64)
    sigmas = schedule_karras(4, 1.0, SIGMA_MAX)[:-1]
    sample = SAMPLERS[name](lambda x, sigma: x - sigma * direction, noise(10), sigmas)
    torch.testing.assert_close(sample, noise(10) + (1.0 - SIGMA_MAX) * direction)


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_seed_same_sample_and_the_noise_is_left_alone(name: str):
    x, sigmas = noise(10).float(), schedule_karras(6, 0.01, SIGMA_MAX)
    kept = x.clone()

    def draw(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return SAMPLERS[name](lambda x, s: x / (1 + s**2), x, sigmas, generator=generator)

    torch.testing.assert_close(draw(0), draw(0), atol=0, rtol=0)
    assert bool((draw(0) == draw(1)).all()) is (name not in STOCHASTIC)
    torch.testing.assert_close(x, kept, atol=0, rtol=0)
    assert draw(0).dtype == torch.float32


def test_a_row_of_a_batch_does_not_depend_on_its_neighbours():
    x, sigmas = noise(8), schedule_karras(9, 0.01, SIGMA_MAX)
    for name in set(SAMPLERS) - STOCHASTIC:
        rows = [SAMPLERS[name](MIXTURE.denoise, row[None], sigmas) for row in x]
        torch.testing.assert_close(SAMPLERS[name](MIXTURE.denoise, x, sigmas), torch.cat(rows))


@pytest.mark.parametrize(("name", "calls"), [("ddim", 3), ("heun", 5), ("dpm_2", 5), ("dpmpp_2m", 3), ("lms", 3)])
def test_three_steps_cost_three_evaluations_or_five(name: str, calls: int):
    seen: list[float] = []

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        assert sigma.shape == ()
        assert sigma.dtype == x.dtype
        seen.append(float(sigma))
        return x / (1 + sigma**2)

    SAMPLERS[name](denoise, noise(1), schedule_karras(3, 0.1, SIGMA_MAX))
    assert len(seen) == calls
    assert min(seen) > 0


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_split_noise_keeps_the_variance_of_the_next_level(eta: float):
    down, fresh = split_noise(3.0, 2.0, eta)
    assert down**2 + fresh**2 == pytest.approx(4.0)
    assert fresh == pytest.approx(eta * 2 * math.sqrt(5) / 3)


@pytest.mark.parametrize(
    "levels", [[1.0], [[1.0, 0.0]], [1.0, 2.0, 0.0], [1.0, 1.0, 0.0], [1.0, -1.0], [math.nan, 0.0]]
)
def test_levels_that_do_not_fall_are_refused(levels: list):
    with pytest.raises(ShapeError, match="sigmas must be"):
        sample_ddim(MIXTURE.denoise, noise(1), torch.tensor(levels))


def test_negative_noise_and_an_order_of_zero_are_refused():
    sigmas = torch.tensor([1.0, 0.0])
    with pytest.raises(ValueRangeError, match="eta is -1"):
        sample_dpmpp_2m_sde(MIXTURE.denoise, noise(1), sigmas, eta=-1)
    with pytest.raises(ValueRangeError, match="eta is nan"):
        sample_euler_ancestral(MIXTURE.denoise, noise(1), sigmas, eta=math.nan)
    with pytest.raises(ValueRangeError, match="order is 0"):
        sample_lms(MIXTURE.denoise, noise(1), sigmas, order=0)


def test_guidance_mixes_from_unconditional_to_conditional_and_beyond():
    x, sigma = noise(4), torch.tensor(1.0)

    def unconditional(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, 1.0)

    def conditional(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, 3.0)

    for strength, wanted in [(0, 1.0), (0.5, 2.0), (1, 3.0), (2, 5.0), (-1, -1.0)]:
        mixed = guide(conditional, unconditional, strength)(x, sigma)
        torch.testing.assert_close(mixed, torch.full_like(x, wanted))
    assert guide(conditional, unconditional, 0) is unconditional
    assert guide(conditional, unconditional, 1) is conditional


def test_guidance_leads_samples_to_the_wanted_blob():
    wanted = type(MIXTURE)(torch.ones(1, dtype=torch.float64), MIXTURE.means[2:], MIXTURE.covariances[2:])
    guided = guide(wanted.denoise, MIXTURE.denoise, 2.0)
    sample = sample_heun(guided, noise(500), schedule_karras(30, 0.005, SIGMA_MAX)).numpy()
    nearest = np.linalg.norm(sample[:, None] - MIXTURE.means.numpy(), axis=-1).argmin(1)
    assert (nearest == 2).mean() > 0.99
