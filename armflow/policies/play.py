"""Windows, action chunks and goals cut from play data, ready for a batch.

Everything lies in memory as three tensors; a batch is one gather. At the edges the rules are the same as at run time:
before an episode's first frame stands that frame again with no action (`pad_history`), and behind its last frame there
is no action to learn.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from armflow.learning.store.table import EpisodeTable
from armflow.policies.aims import first_changes
from armflow.policies.augment import displace, exchange, settle
from armflow.policies.pictures import PictureConfig
from armflow.robot.errors import StackError

__all__ = ["PlayConfig", "PlayData", "PlayDataError", "PlayFields", "PlayWindows", "split_episodes"]

CHANGE = 0.5  # of a goal column's spread: less is no change
STATE, ACTION, VALID, IMAGES = "observation.state", "action", "action.valid", "observation.images."


class PlayDataError(StackError):
    """The data do not fit what is asked of them."""


@dataclass(frozen=True, slots=True)
class PlayFields:
    """What the columns of `observation.state` mean to a policy.

    Attributes:
        observe: Columns that the policy sees.
        goal: Columns that make a goal.
        angles: Columns that are angles, rad.
        points: Groups of columns that are coordinates of points along the same axes, m.
        alike: Groups of columns of objects that differ in name only.
        moved: For each action, the columns that it shifts: readings first, the command last.
        stride: How far one unit of action shifts them, m.
        picture: Pictures that the policy sees besides; None for none.
    """

    observe: tuple[int, ...]
    goal: tuple[int, ...]
    angles: tuple[int, ...] = ()
    points: tuple[tuple[int, ...], ...] = ()
    alike: tuple[tuple[int, ...], ...] = ()
    moved: tuple[tuple[int, ...], ...] = ()
    stride: float = 1.0
    picture: PictureConfig | None = None

    def __post_init__(self) -> None:
        """Check that there is something to see and to reach, and that what is alike has the same columns."""
        for name, groups in (("alike", self.alike), ("points", self.points)):
            if len({len(group) for group in groups}) > 1:
                raise PlayDataError(f"groups of columns in '{name}' have one length; these do not: {groups}")
        if not 0 < self.stride < np.inf:
            raise PlayDataError(f"stride {self.stride} is not above 0")
        if not self.observe or not self.goal:
            raise PlayDataError("a policy needs columns to observe and columns that make a goal: both lists are empty")

    @classmethod
    def read(cls, extra: Mapping[str, Any], width: int) -> "PlayFields":
        """Take the fields from a dataset's own facts; what is not told there is: see all, reach all.

        Args:
            extra: `Schema.extra`.
            width: Number of columns of the state.

        Raises:
            PlayDataError: A column that the state does not have.
        """
        everything = tuple(range(width))
        fields = cls(
            observe=tuple(extra.get("observe", everything)),
            goal=tuple(extra.get("goal", everything)),
            angles=tuple(extra.get("angles", ())),
            stride=float(extra.get("stride", 1.0)),
            picture=PictureConfig(**extra["picture"]) if extra.get("picture") else None,
            **{name: tuple(tuple(group) for group in extra.get(name, ())) for name in ("points", "alike", "moved")},
        )
        groups = (*fields.points, *fields.alike, *fields.moved)
        columns = (*fields.observe, *fields.goal, *fields.angles, *(c for group in groups for c in group))
        wrong = sorted({c for c in columns if not 0 <= c < width})
        if wrong:
            raise PlayDataError(f"the dataset names state columns {wrong}, but its state has columns 0 to {width - 1}")
        return fields

    def facts(self) -> dict[str, Any]:
        """JSON that `read` takes."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class PlayConfig:
    """How windows are cut and goals are drawn.

    Attributes:
        window: Frames that the policy sees.
        chunk: Actions that follow from the last frame, executed or not.
        goal_frames: Consecutive frames that make a goal.
        final_share: Share of goals that are the end of the episode; the others lie anywhere between now and `horizon`.
        horizon: Farthest goal, frames ahead; 0 for no limit.
        changed_share: Share of goals in which something has moved: frames from the first change of the goal columns on,
            as far behind it as `horizon` says. Where nothing moves any more, the goal is drawn as the others are.
        holdout: Share of the episodes kept for validation.
        exchanged: Whether objects that are alike change places; see `augment` for this and the next two.
        displaced: Standard deviation of the robot's displacement, m; 0 for none.
        settled: Share of windows in which readings are set to their commands.
    """

    window: int = 5
    chunk: int = 1
    goal_frames: int = 1
    final_share: float = 0.0
    horizon: int = 0
    changed_share: float = 0.0
    holdout: float = 0.05
    exchanged: bool = False
    displaced: float = 0.0
    settled: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if min(self.window, self.chunk, self.goal_frames) < 1:
            raise PlayDataError(
                f"window, chunk and goal frames are at least 1, not {self.window}, {self.chunk}, {self.goal_frames}"
            )
        if not (0 <= self.settled <= 1 and 0 <= self.displaced < np.inf):
            raise PlayDataError(f"settled {self.settled} is a share, displaced {self.displaced} m is at least 0")
        if not (0 <= self.final_share <= 1 and 0 <= self.holdout < 1 and self.horizon >= 0):
            raise PlayDataError(
                f"final share {self.final_share} and holdout {self.holdout} are shares, horizon {self.horizon} is >= 0"
            )
        if not 0 <= self.changed_share <= 1:
            raise PlayDataError(f"changed share {self.changed_share} is not in 0 to 1")


@dataclass(frozen=True, slots=True)
class PlayWindows:
    """A batch.

    Attributes:
        states: [B, W, S] raw states, all columns.
        actions: [B, W, H, A] raw actions: those of each frame and the H - 1 after it.
        goals: [B, F, G] raw goal columns of F later frames.
        valid: [B, W, H] whether there is such an action.
        frames: [B, W] numbers of the frames, for their pictures.
    """

    states: Tensor
    actions: Tensor
    goals: Tensor
    valid: Tensor
    frames: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.long))

    def tensors(self) -> dict[str, Tensor]:
        """By name, as the trainer passes them on."""
        return {"states": self.states, "actions": self.actions, "goals": self.goals, "valid": self.valid}


def split_episodes(episodes: int, holdout: float, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Divide episode numbers at random into those to train on and those to keep aside, each sorted.

    At least one is kept aside when there are two; the same seed gives the same split.
    """
    order = np.random.default_rng(seed).permutation(episodes)
    aside = min(max(round(holdout * episodes), 1 if holdout > 0 else 0), max(episodes - 1, 0))
    return np.sort(order[aside:]), np.sort(order[:aside])


@dataclass(slots=True)
class PlayData:
    """Episodes end to end, and the frames that may end a window.

    Attributes:
        states: [F, S] float32.
        actions: [F, A] float32.
        acted: [F] bool, whether the frame has an action; the last one of an episode often has none.
        starts: [E + 1] first frame of each episode; the last entry is F.
        episodes: Numbers of the episodes used here.
        fields: What the columns mean.
        config: How windows are cut.
        pictures: [F, H, W, 3] uint8 where the policy sees pictures.
    """

    states: Tensor
    actions: Tensor
    acted: np.ndarray
    starts: np.ndarray
    episodes: np.ndarray
    fields: PlayFields
    config: PlayConfig
    pictures: Tensor | None = None
    _ends: np.ndarray = field(init=False)  # [N] frames that may end a window
    _first: np.ndarray = field(init=False)  # [N] first frame of their episode
    _last: np.ndarray = field(init=False)  # [N] last frame of their episode
    _changes: np.ndarray = field(init=False)  # [N] first frame with another goal; behind the last where there is none

    def __post_init__(self) -> None:
        """List the frames with an action; a frame without one is only a goal."""
        first, last = self.starts[self.episodes], self.starts[self.episodes + 1] - 1
        lengths = last - first + 1
        frames = np.concatenate(
            [np.empty(0, np.int64), *(np.arange(a, b + 1) for a, b in zip(first, last, strict=True))]
        )
        usable = self.acted[frames]
        self._ends = frames[usable]
        self._first, self._last = np.repeat(first, lengths)[usable], np.repeat(last, lengths)[usable]
        self._changes = self._last + 1
        if self.config.changed_share and len(frames):
            goals = self.states[:, list(self.fields.goal)].numpy()
            least = CHANGE * np.maximum(goals[frames].std(axis=0), 1e-6)
            changes = [a + first_changes(goals[a : b + 1], least) for a, b in zip(first, last, strict=True)]
            self._changes = np.concatenate(changes)[usable]

    @classmethod
    def split(
        cls, table: EpisodeTable, fields: PlayFields, config: PlayConfig, *, seed: int = 0
    ) -> tuple["PlayData", "PlayData"]:
        """Make training and validation data from a table with "observation.state", "action" and, maybe, "action.valid".

        Where the fields say that the policy sees pictures, the table has these too.

        Raises:
            PlayDataError: A name is missing, there are fewer than two episodes, or a number is not finite.
        """
        images = [IMAGES + fields.picture.camera] if fields.picture else []
        for name in (STATE, ACTION, *images):
            if name not in table.arrays:
                raise PlayDataError(f"no '{name}' in the data; it has {', '.join(table.arrays)}")
        states, actions = (np.ascontiguousarray(table.arrays[name], np.float32) for name in (STATE, ACTION))
        for name, values in ((STATE, states), (ACTION, actions)):
            if not np.isfinite(values).all():
                frame = int(np.argwhere(~np.isfinite(values).all(axis=1))[0, 0])
                raise PlayDataError(f"'{name}' is not finite at frame {frame}: run `armflow data check`")
        starts = np.asarray(table.starts, np.int64)
        if len(starts) < 3:
            raise PlayDataError(f"{len(starts) - 1} episodes: two are needed, one of them for validation")
        parts = split_episodes(len(starts) - 1, config.holdout, seed=seed)
        acted = np.asarray(table.arrays.get(VALID, np.ones(len(states))), bool).reshape(-1)
        tensors = torch.from_numpy(states), torch.from_numpy(actions)
        pictures = torch.from_numpy(table.arrays[images[0]]) if images else None
        train, aside = (cls(*tensors, acted, starts, part, fields, config, pictures) for part in parts)
        return train, aside

    @property
    def frames(self) -> int:
        """Number of windows to choose from."""
        return len(self._ends)

    def sample(self, count: int, *, rng: np.random.Generator) -> PlayWindows:
        """Draw windows uniformly over frames, each with a goal from later in its episode, and vary them."""
        windows, c = self.windows(rng.integers(self.frames, size=count), rng=rng), self.config
        if c.exchanged:
            windows = exchange(windows, self.fields, rng=rng)
        if c.settled and self.fields.moved:
            windows = settle(windows, self.fields, c.settled, rng=rng)
        if c.displaced and self.fields.moved:
            windows = displace(windows, self.fields, c.displaced, rng=rng)
        return windows

    def windows(self, numbers: np.ndarray, *, rng: np.random.Generator) -> PlayWindows:
        """Cut the windows with the given numbers [B], 0 to `frames` - 1; `rng` draws the goals."""
        c = self.config
        end, first, last = self._ends[numbers], self._first[numbers], self._last[numbers]
        seen = end[:, None] + np.arange(1 - c.window, 1)  # [B, W]
        frames = np.maximum(seen, first[:, None])
        ahead = seen[..., None] + np.arange(c.chunk)  # [B, W, H]
        within = np.clip(ahead, first[:, None, None], last[:, None, None])
        valid = (ahead == within) & self.acted[within]
        actions = self.actions[torch.from_numpy(within)] * torch.from_numpy(valid)[..., None]
        goal = self._goal_frames(end, last, self._changes[numbers], rng)
        return PlayWindows(
            states=self.states[torch.from_numpy(frames)],
            actions=actions,
            goals=self.states[torch.from_numpy(goal)][..., list(self.fields.goal)],
            valid=torch.from_numpy(valid),
            frames=torch.from_numpy(frames),
        )

    def tensors(self, windows: PlayWindows) -> dict[str, Tensor]:
        """Name a batch's tensors as the trainer passes them on; "pictures" [B, W, H, W', 3] where there are any."""
        return windows.tensors() | ({} if self.pictures is None else {"pictures": self.pictures[windows.frames]})

    def _goal_frames(
        self, end: np.ndarray, last: np.ndarray, change: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw the frames [B, F] that make the goal: the episode's end, or a later frame, uniformly."""
        c = self.config
        before = end
        if c.changed_share:
            before = np.where((change <= last) & (rng.random(len(end)) < c.changed_share), change - 1, end)
        farthest = np.minimum(last, before + c.horizon) if c.horizon else last
        goal = np.minimum(before + 1 + np.floor(rng.random(len(end)) * (farthest - before)).astype(np.int64), last)
        goal = np.where(rng.random(len(end)) < c.final_share, last, goal)
        return np.maximum(goal[:, None] + np.arange(1 - c.goal_frames, 1), end[:, None])

    def training_frames(self) -> np.ndarray:
        """Numbers of all frames with an action, for statistics."""
        return self._ends
