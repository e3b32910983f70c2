"""Learned models on disk: `model.safetensors` with the weights and `config.json` with what rebuilds the module."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from armflow.learning.files import make_folder, write_bytes, write_json
from armflow.robot.errors import FormatError

__all__ = ["Checkpoint", "load_checkpoint", "read_tensors", "save_checkpoint", "write_tensors"]

WEIGHTS, CONFIG = "model.safetensors", "config.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model: the tensors of `module.state_dict()` and the configuration that rebuilds the module."""

    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]


def save_checkpoint(directory: str | Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> None:
    """Write a model; each of its two files is replaced at once, so that a stop leaves old or new, never half.

    Args:
        directory: Made if it is not there.
        tensors: What `module.state_dict()` returns, on any device.
        config: JSON, with "method".

    Raises:
        WriteError: The place is full, read-only or not a folder; the files there stay as they were.
    """
    folder = make_folder(directory)
    write_tensors(folder / WEIGHTS, tensors)
    write_json(folder / CONFIG, config)


def load_checkpoint(directory: str | Path) -> Checkpoint:
    """Read a model, onto the processor.

    Raises:
        FormatError: A file is missing, broken or without "method"; names it.
    """
    folder = Path(directory)
    tensors, _ = read_tensors(folder / WEIGHTS)
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(path, "file", f"cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("method"), str):
        raise FormatError(path, "method", "missing; the name of the method that trained the model belongs here")
    return Checkpoint(tensors, config)


def write_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any] | None = None
) -> None:
    """Replace one safetensors file at once, with JSON facts in its header.

    Tensors that share memory are written apart, as the format asks.

    Raises:
        WriteError: The file cannot be written; the one that was there stays as it was.
    """
    apart = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(apart, {"armflow": json.dumps(dict(facts or {}), allow_nan=False)}))


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: the tensors, and the facts of the header ({} where another tool wrote it).

    Raises:
        FormatError: The file is missing or broken.
    """
    try:
        with safe_open(str(path), "pt") as file:
            facts = json.loads((file.metadata() or {}).get("armflow", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
    except (OSError, ValueError, SafetensorError) as error:
        raise FormatError(path, "file", f"cannot be read: {error}") from error
    return tensors, facts
