"""midmix in a plain PyTorch loop: two lines more than without it."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import midmix
from midmix.data import long_tailed
from midmix.losses import balanced_softmax
from midmix.measures import classification

torch.manual_seed(0)
digits = load_digits()
x, x_test, y, y_test = map(
    torch.tensor, train_test_split(digits.data, digits.target, test_size=0.5, random_state=0)
)
rows = long_tailed(y, imbalance_ratio=50, profile="exp", seed=0)
x, y, x_test = x[rows].float() / 16, y[rows], x_test.float() / 16

model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
mix = midmix.balanced_am_mixup(num_classes=10).attach(model)
criterion = balanced_softmax()  # is told by the mix how often each class is a target

for _ in range(60):
    for batch in torch.randperm(len(x)).split(64):
        with mix(y[batch]):
            logits = model(x[batch])
        loss = mix.loss(logits, criterion)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

scores = classification(model.eval()(x_test).detach(), y_test, counts=y.bincount())
print(f"accuracy {scores.accuracy:.3f}, of rare classes {scores.few:.3f}, ratio {float(mix.ratio.value):.3f}")
