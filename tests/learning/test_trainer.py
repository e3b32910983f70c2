import json
import math
import os
import signal
import sys
import types
from typing import ClassVar

import pytest
import torch

from armflow.learning.checkpoint import load_checkpoint, read_tensors
from armflow.learning.trainer import DivergedError, ResumeError, TrainConfig, read_metrics, train
from armflow.learning.trainer.config import learning_rate
from armflow.learning.trainer.precision import processor_has_bf16
from armflow.robot.errors import ChoiceError, ValueRangeError
from tests.learning.lines import Lines, settings


def tensors(folder):
    return read_tensors(folder / "trainer.safetensors")[0]


def same(one, other):
    first, second = tensors(one), tensors(other)
    assert set(first) == set(second)
    return all(torch.equal(first[name], second[name]) for name in first)


class StopAt:
    """Sends this process a signal after a step."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def stepped(self, progress):
        if progress.step == self.step:
            os.kill(os.getpid(), self.number)

    def measured(self, line):
        pass


def stopped(folder, step, config, *, objective=None, number=signal.SIGINT):
    with pytest.raises(KeyboardInterrupt):
        train(objective or Lines(), config, folder, listener=StopAt(step, number))


def test_training_learns(tmp_path):
    record = train(Lines(dropout=0.0, noise=0.0), settings(steps=300, evaluate_every=100, learning_rate=1e-2), tmp_path)
    assert record.scores["validation/loss"] < 0.1
    assert record.samples == 300 * 16
    assert record.skipped == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [7, 10])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(tmp_path, step, number):
    torch.set_num_threads(1)
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    train(Lines(), settings(), straight)
    stopped(parts, step, settings(), number=number)
    assert read_tensors(parts / "trainer.safetensors")[1]["counters"]["step"] == step
    train(Lines(), settings(), parts, resume=True)
    assert same(straight, parts)


def test_metrics_of_a_resumed_training_are_the_uninterrupted_ones(tmp_path):
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    train(Lines(), settings(), straight)
    stopped(parts, 12, settings())
    with (parts / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "loss": 9.0}\n{"step": 15, "lo')  # beyond the checkpoint, and cut short
    train(Lines(), settings(), parts, resume=True)
    names = ("step", "samples", "loss", "gradient_norm", "validation/loss")
    short = [[{name: line.get(name) for name in names} for line in read_metrics(run)] for run in (straight, parts)]
    assert short[0] == short[1]


def test_how_often_is_evaluated_changes_no_weight(tmp_path):
    train(Lines(), settings(), tmp_path / "often")
    train(Lines(), settings(evaluate_every=20, log_every=7), tmp_path / "seldom")
    assert same(tmp_path / "often", tmp_path / "seldom")


def test_the_global_generators_are_left_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(Lines(), settings(), tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_other_seeds_give_other_weights(tmp_path):
    train(Lines(), settings(), tmp_path / "a")
    train(Lines(), settings(seed=1), tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"batch": 8}, "train.batch was 16 and is 8 now"), ({"steps": 30}, "train.steps was 20 and is 30 now")],
)
def test_resuming_with_another_setting_names_it(tmp_path, changed, named):
    train(Lines(), settings(), tmp_path)
    with pytest.raises(ResumeError, match=named):
        train(Lines(), settings(**changed), tmp_path, resume=True)


def test_resuming_with_another_model_names_the_difference(tmp_path):
    train(Lines(), settings(), tmp_path)
    with pytest.raises(ResumeError, match=r"objective\.width was 16 and is 32 now"):
        train(Lines(width=32), settings(), tmp_path, resume=True)


def test_a_constant_rate_may_go_on_for_more_steps(tmp_path):
    train(Lines(), settings(decay="constant"), tmp_path / "parts")
    train(Lines(), settings(decay="constant", steps=30), tmp_path / "parts", resume=True)
    train(Lines(), settings(decay="constant", steps=30), tmp_path / "straight")
    assert same(tmp_path / "parts", tmp_path / "straight")


def test_a_training_is_not_overwritten(tmp_path):
    train(Lines(), settings(), tmp_path)
    with pytest.raises(ResumeError, match="holds a training already; add --resume"):
        train(Lines(), settings(), tmp_path)


def test_there_must_be_something_to_resume(tmp_path):
    with pytest.raises(ResumeError, match="nothing to resume"):
        train(Lines(), settings(), tmp_path, resume=True)


def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path):
    objective = Lines()
    objective.poison = {3, 4, 9}
    record = train(objective, settings(), tmp_path)
    assert record.skipped == 3
    assert math.isfinite(record.scores["validation/loss"])
    assert all(torch.isfinite(tensor).all() for tensor in load_checkpoint(tmp_path).tensors.values())
    assert [line["skipped"] for line in read_metrics(tmp_path) if "skipped" in line] == [2, 3, 3, 3]


def test_ten_such_steps_in_a_row_stop_and_keep_the_last_good_checkpoint(tmp_path):
    objective = Lines()
    objective.poison = set(range(7, 40))
    with pytest.raises(DivergedError, match=r"up to step 17 .* last good checkpoint is kept"):
        train(objective, settings(save_every=6), tmp_path)
    assert read_tensors(tmp_path / "trainer.safetensors")[1]["counters"]["skipped"] == 5  # saved at step 12
    assert all(torch.isfinite(tensor).all() for tensor in load_checkpoint(tmp_path).tensors.values())


def test_the_averaged_weights_follow_the_weights(tmp_path):
    train(Lines(), settings(steps=5, ema_decay=0.9), tmp_path / "slow")
    found = tensors(tmp_path / "slow")
    assert not torch.equal(found["average/0.weight"], found["module/0.weight"])
    train(Lines(), settings(steps=5, ema_decay=0.0), tmp_path / "last")
    found = tensors(tmp_path / "last")
    assert torch.equal(found["average/0.weight"], found["module/0.weight"])


def test_the_first_average_is_mostly_the_newest_weights(tmp_path):
    train(Lines(), settings(steps=1, ema_decay=0.999), tmp_path)
    before = Lines().module[0].weight
    found = tensors(tmp_path)
    share = (found["average/0.weight"] - before) / (found["module/0.weight"] - before)
    torch.testing.assert_close(share.median(), torch.tensor(1 - 2 / 11), rtol=1e-3, atol=0)


def test_the_checkpoint_holds_the_averaged_weights_and_the_configuration(tmp_path):
    objective = Lines()
    train(objective, settings(), tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.config == {"method": "lines", "width": 16}
    assert torch.equal(checkpoint.tensors["0.weight"], tensors(tmp_path)["average/0.weight"])
    Lines(seed=3).module.load_state_dict(checkpoint.tensors)


def test_rollouts_see_the_averaged_weights_and_the_step(tmp_path):
    seen = []

    def rollouts(module, step):
        seen.append(step)
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
        return {"success": 0.5}

    record = train(Lines(), settings(steps=12), tmp_path, rollouts=rollouts)
    assert seen == [5, 10, 12]
    assert record.scores["rollouts/success"] == 0.5


def test_metrics_are_json_lines(tmp_path):
    train(Lines(), settings(), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [5, 10, 15, 20]
    assert [line["step"] for line in lines if "validation/loss" in line] == [5, 10, 15, 20]
    assert all(line["samples"] == 16 * line["step"] for line in lines)


def test_numbers_go_to_tensorboard_where_it_is_installed(tmp_path, monkeypatch):
    class Writer:
        seen: ClassVar[list] = []

        def __init__(self, folder, purge_step):
            assert purge_step == 1

        def add_scalar(self, name, value, step):
            self.seen.append((name, step))

        def flush(self):
            pass

        def close(self):
            self.seen.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    train(Lines(), settings(steps=5), tmp_path)
    assert {("train/loss", 5), ("validation/loss", 5), "closed"} <= set(Writer.seen)


def test_without_tensorboard_the_log_says_how_to_get_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level("INFO"):
        train(Lines(), settings(steps=1), tmp_path)
    assert "pip install 'armflow[tensorboard]'" in caplog.text


def test_the_log_says_which_precision_and_why(tmp_path, caplog):
    with caplog.at_level("INFO"):
        record = train(Lines(), settings(steps=1, precision="auto", accelerator="cpu"), tmp_path)
    assert record.precision == ("bf16" if processor_has_bf16() else "fp32")
    assert f"precision {record.precision}: the processor has" in caplog.text


def test_bf16_learns_too(tmp_path):
    record = train(Lines(dropout=0.0), settings(steps=5, precision="bf16", accelerator="cpu"), tmp_path)
    assert record.precision == "bf16"
    assert record.skipped == 0
    assert all(tensor.dtype == torch.float32 for tensor in load_checkpoint(tmp_path).tensors.values())


def test_an_evaluation_cut_short_is_made_up_for(tmp_path):
    class Cut(Lines):
        def evaluate(self, module):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Cut(), settings(), tmp_path)
    train(Lines(), settings(), tmp_path, resume=True)
    assert [line["step"] for line in read_metrics(tmp_path) if "validation/loss" in line] == [5, 10, 15, 20]


def test_the_learning_rate_rises_and_falls():
    config = settings(steps=100, warmup=10, learning_rate=1.0)
    assert learning_rate(0, config) == pytest.approx(0.1)
    assert learning_rate(9, config) == learning_rate(10, config) == 1.0
    assert learning_rate(55, config) == pytest.approx(0.5)
    assert 0 < learning_rate(99, config) < 1e-3
    assert learning_rate(99, settings(decay="constant", learning_rate=1.0)) == 1.0


def test_only_matrices_decay(tmp_path):
    from armflow.learning.trainer.state import _groups

    module = torch.nn.ModuleDict({"embed": torch.nn.Embedding(3, 4), "norm": torch.nn.LayerNorm(4)})
    module["line"] = torch.nn.Linear(4, 4)
    module.place = torch.nn.Parameter(torch.zeros(2, 4))
    decayed, free = _groups(module, 0.1)
    assert [id(one) for one in decayed["params"]] == [id(module["line"].weight)]
    assert free["weight_decay"] == 0.0
    assert len(free["params"]) == 5


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"steps": 0}, ValueRangeError),
        ({"learning_rate": math.nan}, ValueRangeError),
        ({"ema_decay": 1.0}, ValueRangeError),
        ({"betas": (0.9, 1.0)}, ValueRangeError),
        ({"decay": "sudden"}, ChoiceError),
        ({"precision": "fp8"}, ChoiceError),
    ],
)
def test_settings_out_of_range_are_refused(changed, error):
    with pytest.raises(error, match=next(iter(changed))):
        TrainConfig(**changed)
