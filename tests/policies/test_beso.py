"""BESO: the transformer, its training loss, and what it draws."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from armflow.learning.score import SAMPLERS, SCHEDULES, Preconditioning
from armflow.learning.store.table import EpisodeTable
from armflow.learning.trainer import TrainConfig, train
from armflow.policies.agent import PolicyAgent
from armflow.policies.backbone import BackboneConfig, CausalTransformer
from armflow.policies.beso.config import BesoConfig
from armflow.policies.beso.network import ScoreTransformer
from armflow.policies.beso.objective import BesoObjective
from armflow.policies.beso.policy import BesoPolicy
from armflow.policies.load import SamplerOptions, load_policy, wrap_policy
from armflow.policies.play import PlayConfig, PlayData, PlayFields
from armflow.robot.errors import ChoiceError

FIELDS = PlayFields((0, 1, 2, 3), (0, 1), (3,), ((0, 1),))
SMALL = BackboneConfig(32, 2, 2, 0.0)


def network(window: int = 3, chunk: int = 1) -> ScoreTransformer:
    torch.manual_seed(0)
    made = ScoreTransformer(FIELDS, 4, 2, PlayConfig(window=window, chunk=chunk), SMALL)
    torch.nn.init.normal_(made.head.weight)
    return made.eval()


def inputs(batch: int, window: int, row: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    states, actions, goals = (
        torch.randn(shape, generator=generator) for shape in ((batch, window, 4), (batch, window, row), (batch, 1, 2))
    )
    return states, actions, goals


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_an_action_sees_no_later_state_or_action() -> None:
    net, (states, actions, goals) = network(), inputs(2, 3)
    keep, noise = torch.ones(2), torch.zeros(2)
    before = net(actions, noise, net.context(states, goals, keep))
    states[:, 2] += 1
    actions[:, 2] += 1
    after = net(actions, noise, net.context(states, goals, keep))
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert (before[:, 2] - after[:, 2]).abs().min() > 1e-4


def test_reading_the_last_action_alone_gives_the_same() -> None:
    net, (states, actions, goals) = network(), inputs(2, 3)
    context = net.context(states, goals, torch.ones(2))
    whole = net(actions, torch.zeros(2), context)
    torch.testing.assert_close(net(actions, torch.zeros(2), context, last_only=True), whole[:, -1:])


def test_the_last_block_reads_as_if_it_computed_all() -> None:
    torch.manual_seed(0)
    model, tokens = CausalTransformer(SMALL), torch.randn(2, 5, 32)
    whole = model(tokens, torch.arange(5))
    torch.testing.assert_close(model(tokens, torch.tensor([1, 4])), whole[:, [1, 4]])


def test_half_precision_sees_the_same_tokens_as_single_precision() -> None:
    backbone = network(window=4).backbone
    tokens, read = torch.randn(3, 10, backbone.norm.weight.shape[0], generator=seeded()), torch.tensor([5, 7, 9])
    with torch.autocast("cpu", torch.bfloat16):
        rough = backbone(tokens, read).float()
    torch.testing.assert_close(rough, backbone(tokens, read), atol=0.03, rtol=0.03)  # bf16 has 8 bits


def test_a_hidden_goal_changes_nothing() -> None:
    net, (states, actions, goals) = network(), inputs(2, 3)
    hidden = [net(actions, torch.zeros(2), net.context(states, g, torch.zeros(2))) for g in (goals, goals + 3)]
    torch.testing.assert_close(*hidden)


def test_goals_are_hidden_whole_and_about_as_often_as_asked() -> None:
    objective = make_objective(goal_dropout=0.25)
    told: list[torch.Tensor] = []
    context = objective.module.context

    def spy(states: torch.Tensor, goals: torch.Tensor, keep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        told.append(keep)
        return context(states, goals, keep)

    objective.module.context = spy  # type: ignore[method-assign]
    batch = objective.batch(4000, rng=np.random.default_rng(0))
    objective.loss(objective.module, batch, generator=torch.Generator().manual_seed(0))
    assert set(told[0].unique().tolist()) == {0.0, 1.0}
    assert abs(float(told[0].mean()) - 0.75) < 0.03  # four standard deviations


def test_guidance_of_one_and_zero_are_the_told_and_the_hidden_goal() -> None:
    net, (states, _, goals) = network(), inputs(4, 3)
    past = torch.zeros(4, 2, 2)

    def draw(guidance: float, goal: torch.Tensor) -> torch.Tensor:
        policy = BesoPolicy(net, replace(BesoConfig(), play=net.play, guidance=guidance))
        return policy.predict(states, past, goal, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(draw(0.0, goals), draw(0.0, goals + 5))
    assert (draw(1.0, goals) - draw(1.0, goals + 5)).abs().max() > 1e-3
    assert (draw(2.0, goals) - draw(1.0, goals)).abs().max() > 1e-4


def test_past_actions_carry_the_noise_of_the_level_at_hand_as_in_training() -> None:
    net, (states, _, goals) = network(), inputs(512, 3)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    remember = net.remember

    def spy(past: torch.Tensor, noise: torch.Tensor, context: tuple[torch.Tensor, torch.Tensor]) -> object:
        seen.append((past, noise))
        return remember(past, noise, context)

    net.remember = spy  # type: ignore[method-assign, assignment]
    settings = replace(BesoConfig(), play=net.play)
    BesoPolicy(net, settings).predict(states, torch.zeros(512, 2, 2), goals, generator=torch.Generator().manual_seed(0))
    ((past, noise),) = seen
    assert len(past) == settings.steps
    for rows, sigma in zip(past, (4 * noise).exp(), strict=True):
        spread = rows / Preconditioning(1.0).c_in(sigma)
        assert abs(float(spread.std() / sigma) - 1) < 0.1


@pytest.mark.parametrize("sampler", ["ddim", "dpm_2", "heun"])
@pytest.mark.parametrize("window", [1, 3])
def test_computing_the_last_token_alone_gives_what_the_whole_network_gives(sampler: str, window: int) -> None:
    net, (states, past, goals) = network(window), inputs(1, window)
    settings = replace(BesoConfig(), play=net.play, sampler=sampler)
    edm, noise = Preconditioning(settings.sigma_data), torch.randn(1, window, 2, generator=seeded())
    context = net.context(states, goals, torch.ones(1))
    known = net.scaled(past[:, :-1])

    def plain(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([known + sigma * noise[:, :-1], x[:, None]], dim=1)
        return edm.denoise(lambda rows, c: net(rows, c, context), whole, sigma)[:, -1]

    sigmas = SCHEDULES[settings.schedule](settings.steps, settings.sigma_min, settings.sigma_max).float()
    expected = net.unscaled(SAMPLERS[sampler](plain, sigmas[0] * noise[:, -1], sigmas))
    found = BesoPolicy(net, settings).predict(states, past[:, :-1], goals, generator=seeded())
    torch.testing.assert_close(found[:, 0], expected, atol=1e-4, rtol=1e-4)  # float32 through three evaluations


def test_a_batch_of_windows_equals_each_by_itself() -> None:
    net, (states, past, goals) = network(), inputs(2, 3)
    policy = BesoPolicy(net, replace(BesoConfig(), play=net.play, sigma_max=0.06))  # hardly any noise to differ by
    both = policy.predict(states, past[:, :-1], goals, generator=seeded())
    first = policy.predict(states[:1], past[:1, :-1], goals[:1], generator=seeded())
    torch.testing.assert_close(both[:1], first, atol=1e-3, rtol=1e-3)


def test_beyond_its_own_action_a_past_row_is_hidden() -> None:
    net = network(window=3, chunk=2)
    rows = torch.ones(1, 2, 4)
    assert net.hide_ahead(rows).tolist() == [[[1, 1, 0, 0], [1, 1, 0, 0]]]


def two_way_table(episodes: int = 60, frames: int = 6) -> EpisodeTable:
    """Play on a line: all actions of an episode are +1 or all are -1, and the state is their sum."""
    rng = np.random.default_rng(0)
    sign = np.repeat(rng.choice([-1.0, 1.0], episodes), frames)
    steps = np.tile(np.arange(frames), episodes)
    state = np.stack([sign * steps, np.zeros_like(sign)], axis=1)
    starts = np.arange(episodes + 1, dtype=np.int64) * frames
    arrays = {"observation.state": state.astype(np.float32), "action": sign[:, None].astype(np.float32)}
    return EpisodeTable(arrays, starts)


def make_objective(**settings: object) -> BesoObjective:
    config = replace(BesoConfig(play=PlayConfig(window=1, final_share=1.0), backbone=SMALL, sigma_max=5.0), **settings)
    return BesoObjective(*PlayData.split(two_way_table(), PlayFields((0, 1), (0,)), config.play), config)


def test_the_loss_stays_on_the_device_of_the_network() -> None:
    """ "meta" computes no numbers, and refuses to mix devices as a GPU does."""
    objective = make_objective(goal_dropout=0.3)
    batch = objective.batch(8, rng=np.random.default_rng(0))
    there = {name: part.to("meta") for name, part in batch.items()}
    assert objective.loss(objective.module.to("meta"), there, generator=seeded()).device.type == "meta"
    with pytest.raises(RuntimeError, match="device"):
        objective.loss(objective.module, batch, generator=seeded())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("beso")
    train(make_objective(goal_dropout=0.3), TrainConfig(steps=250, batch=128, learning_rate=3e-3, warmup=20), out)
    torch.set_num_threads(threads)
    return str(out)


def draw(folder: str, state: list[float], goal: float, count: int = 300, **options: object) -> np.ndarray:
    policy = load_policy(folder, SamplerOptions(**options)).policy
    states = torch.tensor(state).expand(count, 1, 2)
    goals = torch.full((count, 1, 1), goal)
    found = policy.predict(states, torch.zeros(count, 0, 1), goals, generator=torch.Generator().manual_seed(0))
    return found[:, 0, 0].numpy()


def test_the_goal_decides_between_two_ways(trained: str) -> None:
    assert np.abs(draw(trained, [0.0, 0.0], 5.0) - 1).mean() < 0.15
    assert np.abs(draw(trained, [0.0, 0.0], -5.0) + 1).mean() < 0.15


def test_without_guidance_both_ways_appear_and_nothing_between(trained: str) -> None:
    actions = draw(trained, [0.0, 0.0], 5.0, guidance=0.0, steps=10)
    assert 0.3 < (actions > 0).mean() < 0.7
    assert (np.abs(np.abs(actions) - 1) < 0.3).mean() > 0.9


def test_a_checkpoint_gives_the_same_actions_as_the_network_it_came_from(trained: str) -> None:
    loaded = load_policy(trained)
    objective = make_objective(goal_dropout=0.3)
    objective.module.load_state_dict(loaded.policy.network.state_dict())  # type: ignore[attr-defined]
    again = wrap_policy(objective.module.eval(), objective.config())
    state, goal = np.array([1.0, 0.0]), np.array([5.0])
    first, second = (one.agent(seed=3).act(state, goal) for one in (loaded, again))
    np.testing.assert_array_equal(first, second)


def test_an_unknown_sampler_is_refused_with_the_choices(trained: str) -> None:
    with pytest.raises(ChoiceError, match="ddim, euler"):
        load_policy(trained, SamplerOptions(sampler="ddmi"))


class Recorder:
    """A policy that keeps what it was asked."""

    def __init__(self, chunk: int) -> None:
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []
        self.chunk = chunk

    def predict(
        self,
        states: torch.Tensor,
        past: torch.Tensor,
        goals: torch.Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        self.asked.append((states[0, :, 0].numpy().copy(), past[0, :, 0].numpy().copy()))
        return 10.0 * len(self.asked) + torch.arange(float(self.chunk)).reshape(1, -1, 1)


def test_the_window_at_run_time_is_the_window_of_training() -> None:
    policy = Recorder(chunk=1)
    agent = PolicyAgent(policy, PlayConfig(window=3))
    for step in range(4):
        agent.act(np.array([float(step)]), np.zeros(1))
    states, past = zip(*policy.asked, strict=True)
    assert [row.tolist() for row in states] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    assert [row.tolist() for row in past] == [[0, 0], [0, 10], [10, 20], [20, 30]]


def test_a_chunk_is_carried_out_as_far_as_asked() -> None:
    policy = Recorder(chunk=3)
    agent = PolicyAgent(policy, PlayConfig(window=1, chunk=3), execute=2)
    actions = [float(agent.act(np.zeros(1), np.zeros(1))[0]) for _ in range(4)]
    assert actions == [10, 11, 20, 21]


def test_settings_survive_json() -> None:
    import json

    settings = BesoConfig(play=PlayConfig(window=2, chunk=4), execute=2)
    assert BesoConfig.read(json.loads(json.dumps(asdict(settings)))) == settings
