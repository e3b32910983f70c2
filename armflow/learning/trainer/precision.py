"""Which numbers a training computes with."""

import logging
from pathlib import Path

import torch

__all__ = ["pick_precision", "processor_has_bf16"]

INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
_log = logging.getLogger(__name__)


def pick_precision(wanted: str, device: torch.device) -> str:
    """Return fp32 or bf16, and say in the log which and why.

    Without instructions of its own bf16 is slower than fp32, for every number is converted twice.
    """
    if wanted != "auto":
        _log.info("precision %s, as asked", wanted)
        return wanted
    if device.type == "cuda":
        found = torch.cuda.is_bf16_supported()
        _log.info("precision %s: the GPU has %s", "bf16" if found else "fp32", "bf16" if found else "no bf16")
    else:
        found = processor_has_bf16()
        has = "has" if found else "has none of"
        _log.info("precision %s: the processor %s %s", "bf16" if found else "fp32", has, " or ".join(INSTRUCTIONS))
    return "bf16" if found else "fp32"


def processor_has_bf16() -> bool:
    """Whether the processor multiplies bf16 numbers itself."""
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in INSTRUCTIONS)
    path = Path("/proc/cpuinfo")
    words = path.read_text().split() if path.exists() else []
    return any(name in words for name in INSTRUCTIONS)
