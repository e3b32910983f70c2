"""`python -m tests.learning.together OUT DEVICES STEPS [resume]`: one training, in as many processes as asked."""

import sys
from pathlib import Path

import torch

from armflow.learning.trainer import train
from tests.learning.lines import Lines, settings

if __name__ == "__main__":
    torch.set_num_threads(1)
    out, devices, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    config = settings(steps=steps, batch=16, devices=devices, decay="constant", accelerator="cpu")
    train(Lines(dropout=0.0, noise=0.0), config, out, resume="resume" in sys.argv)
