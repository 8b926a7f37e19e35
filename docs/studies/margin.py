"""A linear head trained at fixed λ on two unequal classes, against the margin law (docs/margin-law.md).

    python docs/studies/margin.py            # writes docs/results/margin.svg and margin.csv, in under a minute

The head begins where plain cross-entropy on the unequal classes left it: the boundary close to the small class. It
is then trained with inter-class pairs and both owners at one λ, until the mixed features have the confidence asked
for or the steps are used up. Each λ begins at the same place.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor, nn

from midmix.measures import margin_band, required_margin
from midmix.mixing import BothOwners, FixedRatio, InterClassPairs, Mix

WEIGHTS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.575, 0.55, 0.525, 0.512, 0.5)
RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Row:
    """One λ and seed. Margins are class means, in units of the difference of two logits."""

    weight: float
    seed: int
    margin_large: float
    """Mean margin of the large class."""
    margin_small: float
    confidence: float
    """Mean probability of the owner's class, over the mixed features of all pairs, both owners."""
    in_band: float
    """Share of all pairs whose own ratio of margins is in the law's band."""
    both_right: float
    """Share of all pairs of which both mixed features are classified right."""
    steps: int

    @property
    def ratio(self) -> float:
        """Mean margin of the large class over that of the small one."""
        return self.margin_large / self.margin_small

    @property
    def breadth(self) -> float:
        """Mean of the two margins."""
        return (self.margin_large + self.margin_small) / 2


def study(
    weights: Sequence[float] = WEIGHTS,
    seeds: int = 3,
    *,
    confidence: float = 0.9,
    counts: tuple[int, int] = (100, 10),
    width: int = 8,
    spread: float = 0.06,
    steps: int = 1500,
) -> list[Row]:
    """Trains a head for every λ and seed.

    Args:
        weights: the λ, each in [0.5, 1].
        seeds: how many; each draws its own features and its own pairs.
        confidence: of the mixed features, at which training stops.
        counts: rows of the large and of the small class.
        width: D, of Gaussian features around two means at distance 2.
        spread: standard deviation of a feature within a class.
        steps: after which training stops in any case.
    """
    rows = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.tensor([0] * counts[0] + [1] * counts[1])
        features = spread * torch.randn(len(labels), width, generator=generator)
        features[:, 0] += 1.0 - 2.0 * labels
        start = plain_head(features, labels)
        for weight in weights:
            head = nn.Linear(width, 2)
            head.load_state_dict(start)
            taken = train(head, features, labels, weight, confidence, steps, generator)
            rows.append(measure(head, features, labels, weight, seed, taken))
    return rows


def plain_head(features: Tensor, labels: Tensor, steps: int = 100) -> dict[str, Tensor]:
    """A head after some steps of plain cross-entropy, from zero."""
    head = nn.Linear(features.shape[1], 2)
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(head(features), labels))
        optimizer.step()
    return head.state_dict()


def train(
    head: nn.Linear,
    features: Tensor,
    labels: Tensor,
    weight: float,
    confidence: float,
    steps: int,
    generator: torch.Generator,
) -> int:
    """Trains in place with both owners at fixed λ; returns the steps that were taken."""
    mix = Mix(InterClassPairs(), FixedRatio(weight), BothOwners(), num_classes=2)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for step in range(steps):
        if owner_scores(head, features, labels, weight).sigmoid().mean() >= confidence:
            return step
        plan = mix.plan(labels, generator=generator)
        optimizer.zero_grad()
        torch.autograd.backward(plan.loss(head(plan.apply(features))))
        optimizer.step()
    return steps


@torch.no_grad()
def margins_of(head: nn.Linear, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """`s_i` of the large class's rows and `s_j` of the small one's, each towards its own side."""
    first, second = head(features).unbind(1)
    score = first - second
    return score[labels == 0], -score[labels == 1]


def owner_scores(head: nn.Linear, features: Tensor, labels: Tensor, weight: float) -> Tensor:
    """`[2, n_large, n_small]`: scores of the mixed features of every pair towards their owner."""
    large, small = margins_of(head, features, labels)
    large, small = large[:, None], small[None, :]
    return torch.stack([weight * large - (1 - weight) * small, weight * small - (1 - weight) * large])


def measure(head: nn.Linear, features: Tensor, labels: Tensor, weight: float, seed: int, steps: int) -> Row:
    """What the trained head does to the margins."""
    large, small = margins_of(head, features, labels)
    scores = owner_scores(head, features, labels, weight)
    low, high = margin_band(weight)
    ratios = large[:, None] / small[None, :]
    positive = (large > 0)[:, None] & (small > 0)[None, :]
    return Row(
        weight,
        seed,
        margin_large=float(large.mean()),
        margin_small=float(small.mean()),
        confidence=float(scores.sigmoid().mean()),
        in_band=float((positive & (low < ratios) & (ratios < high)).double().mean()),
        both_right=float((scores > 0).all(0).double().mean()),
        steps=steps,
    )


def write(rows: Sequence[Row], path: Path) -> None:
    """The numbers behind the figure, a row a λ and seed."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*asdict(rows[0]), "ratio", "breadth", "band_low", "band_high", "required_margin"])
        for row in rows:
            law = (*margin_band(row.weight), required_margin(row.weight, 0.9))
            values = (*asdict(row).values(), row.ratio, row.breadth, *law)
            table.writerow([f"{value:.6g}" for value in values])


def draw(rows: Sequence[Row], path: Path, confidence: float) -> None:
    """Ratio and breadth against λ, measured and by the law."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "margin"  # the same numbers give the same file
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    fine = torch.linspace(0.5, 1, 501).tolist()
    low, high = zip(*(margin_band(weight) for weight in fine), strict=True)
    left.fill_between(fine, low, [min(end, 99.0) for end in high], color="tab:blue", alpha=0.15, lw=0)
    left.plot(fine, low, fine, [min(end, 99.0) for end in high], color="tab:blue", lw=1)
    left.axhline(1, color="grey", lw=0.8, ls=":")
    left.set(yscale="log", ylim=(0.1, 10), ylabel="margin of large class / of small class", title="Balance")
    right.plot(fine[2:], [required_margin(weight, confidence) for weight in fine[2:]], color="tab:blue", lw=1)
    right.set_yscale("symlog", linthresh=1)
    right.set(ylim=(-0.1, 200), ylabel="mean margin", title=f"Breadth at confidence {confidence:g}")

    weights = sorted({row.weight for row in rows})
    for axis, name in ((left, "ratio"), (right, "breadth")):
        for reached, face, label in ((True, "tab:orange", "reached"), (False, "white", "not reached")):
            found = {w: [r for r in rows if r.weight == w] for w in weights}
            found = {
                w: rs for w, rs in found.items() if (mean(r.confidence for r in rs) >= confidence) == reached
            }
            values = [[getattr(r, name) for r in rs] for rs in found.values()]
            axis.errorbar(
                list(found),
                [mean(v) for v in values],
                yerr=[stdev(v) if len(v) > 1 else 0 for v in values],
                fmt="o",
                color="tab:orange",
                markerfacecolor=face,
                capsize=2,
                label=f"measured, confidence {label}",
            )
        axis.plot([], [], color="tab:blue", label="the law" + (": band" if name == "ratio" else ": required"))
        axis.set(xlabel="λ, the owner's share", xlim=(1.01, 0.49))
        axis.legend(frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for margin.svg and margin.csv")
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    rows = study(seeds=settings.seeds)
    write(rows, settings.out / "margin.csv")
    draw(rows, settings.out / "margin.svg", confidence=0.9)

    print("| λ | band | ratio | required margin | breadth | confidence | pairs in band | both right |")
    print("|---|---|---|---|---|---|---|---|")
    for weight in WEIGHTS:
        these = [row for row in rows if row.weight == weight]
        low, high = margin_band(weight)
        cells = [mean(getattr(row, name) for row in these) for name in ("ratio", "breadth", "confidence")]
        shares = [mean(getattr(row, name) for row in these) for name in ("in_band", "both_right")]
        print(
            f"| {weight:g} | {low:.3f} to {high:.3f} | {cells[0]:.3f} | {required_margin(weight, 0.9):.2f} "
            f"| {cells[1]:.2f} | {cells[2]:.3f} | {shares[0]:.3f} | {shares[1]:.3f} |"
        )


if __name__ == "__main__":
    main()
