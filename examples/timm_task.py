"""midmix in timm: its training task takes the place of timm's own, here in a loop as timm's training script has it."""

import timm
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from timm.optim import create_optimizer_v2
from torch.nn.functional import interpolate

import midmix
from midmix.data import long_tailed
from midmix.integrations.timm import MixTask

torch.manual_seed(0)
digits = load_digits()
x, x_test, y, y_test = map(
    torch.tensor, train_test_split(digits.data, digits.target, test_size=0.5, random_state=0)
)
rows = long_tailed(y, imbalance_ratio=20, profile="exp", seed=0)
x, y = x[rows], y[rows]
x, x_test = (interpolate(part.float().reshape(-1, 1, 8, 8) / 16, scale_factor=4) for part in (x, x_test))

model = timm.create_model("test_efficientnet", num_classes=10, in_chans=1)
task = MixTask(model, midmix.balanced_am_mixup(num_classes=10, clean_weight=1))
optimizer = create_optimizer_v2(task.get_trainable_module(), opt="adamw", lr=3e-3)

for _ in range(12):
    task.train()
    for batch in torch.randperm(len(x)).split(32):
        result = task(x[batch], y[batch])
        result["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

with torch.no_grad():
    right = task.get_eval_model().eval()(x_test).argmax(1) == y_test
print(f"accuracy {right.double().mean():.3f}, ratio {float(task.mix.ratio.value):.3f}")
