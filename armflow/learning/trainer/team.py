"""The processes that train one model together: alone, or several through Lightning Fabric."""

import os
from datetime import timedelta
from typing import Any, Protocol

import torch
from torch import Tensor

from armflow.learning.trainer.config import TrainConfig
from armflow.robot.errors import ChoiceError, StackError, ValueRangeError

__all__ = ["Alone", "FabricTeam", "Team", "TeamError", "join", "leads"]

PATIENCE = timedelta(hours=6)  # the others wait while the leader evaluates


class TeamError(StackError):
    """Several processes were asked for, and the package that starts them is missing."""


class Team(Protocol):
    """Processes that step together."""

    device: torch.device
    rank: int
    size: int

    def mean(self, values: Tensor) -> Tensor:
        """Mean of a tensor over all processes."""
        ...

    def start_from(self, values: list[Tensor]) -> None:
        """Overwrite tensors with those of the leader."""
        ...

    def wait(self) -> None:
        """Return when every process is here."""
        ...


class Alone:
    """One process."""

    rank, size = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mean(self, values: Tensor) -> Tensor:
        """Return the values themselves."""
        return values

    def start_from(self, values: list[Tensor]) -> None:
        """Nothing to do."""

    def wait(self) -> None:
        """Nobody to wait for."""


class FabricTeam:
    """Several processes, on one machine or more.

    Fabric starts the command again in each of them and tells each its place. Gradients are averaged here rather than
    by a wrapper around the module, so that an objective may call any method of its module.
    """

    def __init__(self, config: TrainConfig, accelerator: str) -> None:
        Fabric, DDPStrategy = _fabric()
        backend = "nccl" if accelerator == "cuda" else "gloo"
        self._fabric = Fabric(
            accelerator=accelerator,
            devices=config.devices,
            num_nodes=config.nodes,
            strategy=DDPStrategy(process_group_backend=backend, timeout=PATIENCE),
        )
        self._fabric.launch()
        self.device = self._fabric.device
        self.rank, self.size = self._fabric.global_rank, self._fabric.world_size

    def mean(self, values: Tensor) -> Tensor:
        """Mean over all processes."""
        return self._fabric.all_reduce(values, reduce_op="mean")  # type: ignore[return-value]

    def start_from(self, values: list[Tensor]) -> None:
        """Take the leader's values."""
        for value in values:
            value.copy_(self._fabric.broadcast(value))

    def wait(self) -> None:
        """Meet the others."""
        self._fabric.barrier()


def join(config: TrainConfig) -> Team:
    """Find the device, and the other processes where there are to be any.

    Raises:
        ChoiceError: A GPU was asked for and there is none.
        TeamError: Several processes were asked for without Lightning Fabric.
        ValueRangeError: The batch cannot be shared evenly.
    """
    has_gpu = torch.cuda.is_available()
    accelerator = ("cuda" if has_gpu else "cpu") if config.accelerator == "auto" else config.accelerator
    if accelerator == "cuda" and not has_gpu:
        raise ChoiceError("accelerator", "cuda", ("cpu",))
    if config.devices * config.nodes == 1:
        return Alone(torch.device(accelerator))
    size = config.devices * config.nodes
    if config.batch % size:
        raise ValueRangeError("batch", config.batch, f"a multiple of the {size} processes")
    return FabricTeam(config, accelerator)


def leads() -> bool:
    """Whether this process is the one that writes and speaks; known before the others are joined."""
    places = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
    return all(os.environ.get(name, "0") == "0" for name in places)


def _fabric() -> tuple[Any, Any]:
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        problem = (
            "several processes need Lightning Fabric: pip install 'armflow[cluster]', or use --devices 1 --nodes 1"
        )
        raise TeamError(problem) from error
    return Fabric, DDPStrategy
