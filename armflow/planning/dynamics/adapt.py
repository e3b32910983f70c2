"""The code that tells a model which object it has: category and material, and how a few seconds of touch reveal it.

One model is trained over all materials with the true material as its code, hidden in a share of the windows, so that
the middle of the range means "unknown". At run time nobody tells the material: `adapt` looks for the code under which
the model explains what it has just seen.

Reference:
    Zhang et al. (2024), AdaptiGraph, arXiv:2407.07889, sections III-B and III-C.
"""

import torch

from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.dynamics.types import DynamicsModel, Particles, ToolPath
from armflow.robot.errors import ChoiceError, ValueRangeError

__all__ = ["CATEGORIES", "CODE_SIZE", "MATERIAL", "adapt", "hide_material", "make_code"]

CATEGORIES = ("rope", "cloth", "plush", "box")
MATERIAL = 4  # stiffness, size, friction, mass, each scaled to about 0 to 1
CODE_SIZE = len(CATEGORIES) + MATERIAL
UNKNOWN = 0.5


def make_code(category: str, material: torch.Tensor | None = None) -> torch.Tensor:
    """Code [C] of an object: its category as one of four, then its material, or the middle where that is unknown.

    Args:
        category: One of `CATEGORIES`.
        material: [4] stiffness, size, friction, mass, each scaled to about 0 to 1.

    Raises:
        ChoiceError: Another category.
    """
    if category not in CATEGORIES:
        raise ChoiceError("category", category, CATEGORIES)
    kind = torch.zeros(len(CATEGORIES))
    kind[CATEGORIES.index(category)] = 1.0
    return torch.cat([kind, torch.full((MATERIAL,), UNKNOWN) if material is None else material.to(kind)])


def hide_material(code: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
    """Codes [B, C] with the material unknown, everywhere or where `hidden` [B] says."""
    unknown = torch.cat([code[:, :-MATERIAL], torch.full_like(code[:, -MATERIAL:], UNKNOWN)], dim=1)
    return unknown if hidden is None else torch.where(hidden[:, None], unknown, code)


def adapt(
    model: DynamicsModel,
    particles: Particles,
    tools: ToolPath,
    truth: torch.Tensor,
    *,
    rounds: int = 25,
    rate: float = 0.08,
) -> torch.Tensor:
    """Find the material that explains some seconds of touch best; the model's weights stay as they are.

    Minimises the mean distance of predicted from seen particles by Adam, with the material kept from 0 to 1.

    Args:
        model: Trained; takes codes.
        particles: B moments of one object; the codes tell its category, and where to begin.
        tools: What the tool did from there, T steps.
        truth: [B, T, N, 3] where the particles were seen then, m.
        rounds: Gradient steps.
        rate: Their length.

    Returns:
        [C] the code.

    Raises:
        DynamicsError: No window, or truth of another shape.
        ValueRangeError: rounds below 1.
    """
    if not len(truth) or truth.shape[0] != len(particles.points) or truth.shape[1] != tools.points.shape[1] - 1:
        raise DynamicsError("truth", f"shape {list(truth.shape)} does not fit the particles and the tool's path")
    if rounds < 1:
        raise ValueRangeError("rounds", rounds, "at least 1")
    kind = particles.code[0, :-MATERIAL]
    material = particles.code[0, -MATERIAL:].detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([material], lr=rate)
    needed = [parameter.requires_grad for parameter in model.parameters()]
    model.requires_grad_(requires_grad=False)
    best = (float("inf"), material.detach().clone())
    try:
        for _ in range(rounds):
            code = torch.cat([kind, material]).expand(len(truth), -1)
            start = Particles(particles.points, particles.velocities, particles.rest, code, particles.ground)
            error = (model.rollout(start, tools) - truth).square().sum(dim=-1).add(1e-8).sqrt().mean()
            if float(error.detach()) < best[0]:
                best = float(error.detach()), material.detach().clone()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            material.data.clamp_(0.0, 1.0)
    finally:
        for parameter, need in zip(model.parameters(), needed, strict=True):
            parameter.requires_grad_(need)
    return torch.cat([kind, best[1]])
