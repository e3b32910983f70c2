"""The two networks of the baselines: raw states and goals in, numbers out for each frame or for the last one."""

import torch
from torch import Tensor, nn

from armflow.policies.backbone import BackboneConfig, CausalTransformer
from armflow.policies.features import StateFeatures
from armflow.policies.play import PlayConfig, PlayFields

__all__ = ["GoalMLP", "GoalTransformer"]


class GoalMLP(nn.Module):
    """All frames of a window and the goal side by side through fully connected layers; speaks for the last frame.

    Attributes:
        features: States and goals as network inputs.
    """

    def __init__(
        self, fields: PlayFields, state_width: int, play: PlayConfig, hidden: tuple[int, ...], out: int
    ) -> None:
        """Build for states [S] in windows as `play` says, with hidden layers of these widths."""
        super().__init__()
        self.features = StateFeatures(fields, state_width)
        f = self.features
        width = play.window * f.width + play.goal_frames * f.goal_width + f.offset_width
        layers: list[nn.Module] = []
        for wider in hidden:
            layers += [nn.Linear(width, wider), nn.LayerNorm(wider), nn.GELU()]
            width = wider
        self.layers = nn.Sequential(*layers, nn.Linear(width, out))

    def forward(self, states: Tensor, goals: Tensor) -> Tensor:
        """Map states [B, W, S] and goals [B, F, G] to [B, 1, out]."""
        f = self.features
        parts = [f(states).flatten(1), f.goals(goals).flatten(1), f.offsets(states[:, -1], goals[:, -1])]
        return self.layers(torch.cat(parts, dim=-1))[:, None]


class GoalTransformer(nn.Module):
    """Tokens [goals, state 1, ..., state W]; each state token speaks for its frame and sees those before it.

    Attributes:
        features: States and goals as network inputs.
    """

    read: Tensor

    def __init__(
        self, fields: PlayFields, state_width: int, play: PlayConfig, backbone: BackboneConfig, out: int
    ) -> None:
        """Build for states [S] in windows as `play` says."""
        super().__init__()
        width = backbone.width
        self.features = StateFeatures(fields, state_width)
        self.goal_token = nn.Linear(self.features.goal_width, width)
        self.state_token = nn.Linear(self.features.width, width)
        self.offset_part = nn.Linear(self.features.offset_width, width, bias=False)
        self.place = nn.Parameter(0.02 * torch.randn(play.goal_frames + play.window, width))
        self.backbone = CausalTransformer(backbone)
        self.head = nn.Linear(width, out)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("read", play.goal_frames + torch.arange(play.window), persistent=False)

    def forward(self, states: Tensor, goals: Tensor) -> Tensor:
        """Map states [B, W, S] and goals [B, F, G] to [B, W, out]."""
        f = self.features
        goal = self.goal_token(f.goals(goals))
        state = self.state_token(f(states)) + self.offset_part(f.offsets(states, goals[:, -1:]))
        return self.head(self.backbone(torch.cat([goal, state], dim=1) + self.place, self.read))
