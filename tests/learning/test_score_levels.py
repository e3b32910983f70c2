"""Preconditioning, densities and schedules of the noise level."""

import math

import numpy as np
import pytest
import torch

from armflow.learning.score import (
    SCHEDULES,
    LogNormal,
    Preconditioning,
    TruncatedLogLogistic,
    schedule_cosine,
    schedule_exponential,
    schedule_karras,
    schedule_linear,
    schedule_ve,
    schedule_vp,
)
from armflow.robot.errors import ValueRangeError

SIGMAS = torch.tensor([0.005, 0.1, 0.5, 2.0, 80.0], dtype=torch.float64)
EDM = Preconditioning(0.5)


def test_inputs_and_targets_of_the_network_have_variance_one():
    generator = torch.Generator().manual_seed(0)
    clean = EDM.sigma_data * torch.randn(400_000, generator=generator)
    noise = torch.randn(400_000, generator=generator)
    for sigma in SIGMAS.float():
        x = clean + sigma * noise
        target = (clean - EDM.c_skip(sigma) * x) / EDM.c_out(sigma)
        assert float((EDM.c_in(sigma) * x).std()) == pytest.approx(1, abs=0.01)
        assert float(target.std()) == pytest.approx(1, abs=0.01)


def test_c_out_is_the_smallest_that_any_skip_allows():
    # Karras et al. (2022), eq. 125: c_skip minimises c_out^2 = (1 - c_skip)^2 sigma_d^2 + c_skip^2 sigma^2.
    skip = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for sigma in SIGMAS:
        squared = (1 - skip) ** 2 * EDM.sigma_data**2 + skip**2 * sigma**2
        assert float(EDM.c_out(sigma) ** 2) <= float(squared.min()) + 1e-12
        assert float(EDM.c_out(sigma) ** 2) == pytest.approx(float(squared.min()), rel=2e-3, abs=1e-6)


def test_the_best_network_for_gaussian_data_gives_nothing():
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    for sigma in SIGMAS:
        wiener = x * EDM.sigma_data**2 / (EDM.sigma_data**2 + sigma**2)
        torch.testing.assert_close(EDM.denoise(lambda x, _: 0 * x, x, sigma), wiener)


def test_squared_error_is_the_weighted_error_of_the_denoiser():
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, 3, 2, generator=generator, dtype=torch.float64)

    def network(x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        return torch.sin(x) + c_noise.reshape(-1, 1, 1)

    wide = SIGMAS.reshape(-1, 1, 1)
    error = EDM.denoise(network, clean + wide * noise, SIGMAS) - clean
    ours = EDM.squared_error(network, clean, noise, SIGMAS)
    torch.testing.assert_close(ours, EDM.loss_weight(wide) * error**2)


def test_one_level_for_all_rows_equals_that_level_for_each_row():
    x, sigma = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor(0.7)
    shapes = []

    def network(x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(c_noise.shape))
        torch.testing.assert_close(c_noise, torch.full_like(c_noise, math.log(0.7) / 4))
        return x**2

    torch.testing.assert_close(EDM.denoise(network, x, sigma), EDM.denoise(network, x, sigma.expand(5)))
    assert shapes == [(), (5,)]


@pytest.mark.parametrize("sigma_data", [0.0, -1.0, math.nan, math.inf])
def test_data_without_a_size_is_refused(sigma_data: float):
    with pytest.raises(ValueRangeError, match="sigma_data"):
        Preconditioning(sigma_data)


def test_log_normal_draws_have_the_mean_and_deviation_of_the_logarithm():
    sigma = LogNormal(-1.2, 0.8)((200, 500), torch.Generator().manual_seed(0))
    assert sigma.shape == (200, 500)
    assert float(sigma.log().mean()) == pytest.approx(-1.2, abs=0.01)
    assert float(sigma.log().std()) == pytest.approx(0.8, abs=0.01)


def test_truncated_log_logistic_draws_follow_its_distribution_function():
    density = TruncatedLogLogistic(0.05, 3.0, median=0.4, scale=0.5)
    sigma = np.sort(density((50_000,), torch.Generator().manual_seed(0)).numpy())
    assert sigma.min() >= np.float32(0.05)
    assert sigma.max() <= 3.0

    def below(s: np.ndarray) -> np.ndarray:
        return 1 / (1 + (s / 0.4) ** -2.0)

    exact = (below(sigma) - below(np.array(0.05))) / (below(np.array(3.0)) - below(np.array(0.05)))
    assert np.abs(exact - np.arange(50_000) / 50_000).max() < 2.7 / math.sqrt(50_000)  # Kolmogorov, once in 10^6


def test_densities_repeat_with_the_seed():
    for density in (LogNormal(), TruncatedLogLogistic(0.01, 1.0)):
        first, second = (density((7,), torch.Generator().manual_seed(3)) for _ in range(2))
        torch.testing.assert_close(first, second, atol=0, rtol=0)
        assert first.dtype == torch.float32


def test_a_density_without_width_or_room_is_refused():
    with pytest.raises(ValueRangeError, match="deviation is 0"):
        LogNormal(deviation=0)
    with pytest.raises(ValueRangeError, match="sigma_min is 0"):
        TruncatedLogLogistic(0, 1)
    with pytest.raises(ValueRangeError, match="above sigma_min = 2"):
        TruncatedLogLogistic(2, 1)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_schedule_falls_from_the_first_level_to_the_last_and_then_zero(name: str, n: int):
    sigmas = SCHEDULES[name](n, 0.005, 1.0)
    assert sigmas.shape == (n + 1,)
    assert sigmas.dtype == torch.float64
    assert float(sigmas[0]) == 1.0
    assert float(sigmas[-1]) == 0.0
    assert n == 1 or float(sigmas[-2]) == 0.005
    assert bool((sigmas.diff() < 0).all())


def test_schedules_are_even_in_their_own_variable():
    variables = {
        schedule_linear: lambda s: s,
        schedule_exponential: torch.log,
        schedule_karras: lambda s: s ** (1 / 7),
        schedule_cosine: lambda s: torch.acos(1 / torch.sqrt(1 + s**2)),
        schedule_ve: lambda s: torch.log(s**2),
    }
    for schedule, variable in variables.items():
        gaps = variable(schedule(30, 0.01, 5.0)[:-1]).diff()
        torch.testing.assert_close(gaps, gaps.mean().expand_as(gaps))


def test_vp_levels_lie_on_the_variance_preserving_process():
    # alpha_bar = exp(-integral of beta), with beta = 0.1 + 19.9 t; sigma^2 = 1 / alpha_bar - 1.
    time = torch.linspace(1, 0.01, 40, dtype=torch.float64)
    alpha_bar = torch.exp(-(0.1 * time + 19.9 * time**2 / 2))
    levels = torch.sqrt(1 / alpha_bar - 1)
    ours = schedule_vp(40, float(levels[-1]), float(levels[0]))[:-1]
    torch.testing.assert_close(ours, levels)


def test_ve_levels_are_the_exponential_ones():
    torch.testing.assert_close(schedule_ve(10, 0.01, 50), schedule_exponential(10, 0.01, 50))


def test_karras_levels_match_the_papers_formula():
    i, n, rho = torch.arange(18), 18, 7
    wanted = (80 ** (1 / rho) + i / (n - 1) * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho
    torch.testing.assert_close(schedule_karras(18, 0.002, 80)[:-1].float(), wanted)


@pytest.mark.parametrize(("n", "low", "high"), [(0, 0.1, 1), (3, 0, 1), (3, 1, 0.1), (3, 1, 1), (3, 0.1, math.inf)])
def test_schedules_without_steps_or_range_are_refused(n: int, low: float, high: float):
    for schedule in SCHEDULES.values():
        with pytest.raises(ValueRangeError):
            schedule(n, low, high)


def test_shape_parameters_of_schedules_are_checked():
    with pytest.raises(ValueRangeError, match="rho"):
        schedule_karras(3, 0.1, 1, rho=0)
    with pytest.raises(ValueRangeError, match="beta"):
        schedule_vp(3, 0.1, 1, beta_slope=0)
