"""How many paired runs it takes to hold a ratio against a target, on a machine that others share.

One pair says little here: its ratio strays by a tenth. So pairs are run until the interval that holds their median nine times in ten lies on one side of the
target, or until there are as many as one is ready to wait for; then the median decides. The interval is that of the order statistics (the sign test turned
round: Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2), which asks nothing of how the ratios are spread.

Nine times in ten holds for one look; here one looks after each pair. The verdict is hardly worse for it than that of 21 pairs: simulated with ratios that
stray by 0.06, it is wrong in one case of four where the ratio lies 0.01 from its target, in one of thirty at 0.03, in one of a thousand at 0.05.
"""
import math
import statistics

CONFIDENCE = 0.9


def median_interval(values):
    """The narrowest (low, high) of the values' order statistics between which the median lies with CONFIDENCE; None if there are too few values for one."""
    ordered = sorted(values)
    tail, rank = 0.0, 0
    while True:
        # That the median lies below the value of this rank: at most `rank` of the n values fell below it.
        tail += math.comb(len(ordered), rank) / 2 ** len(ordered)
        if 2 * tail > 1 - CONFIDENCE:
            break
        rank += 1
    return (ordered[rank - 1], ordered[-rank]) if rank else None


def is_settled(ratios, target):
    interval = median_interval(ratios)
    return interval is not None and (interval[0] >= target or interval[1] < target)


def run_pairs(measure, target, most, progress):
    """`measure(number)` runs pair `number` and gives (baseline, value), both more than 0. Returns the medians of both sides and of the pairs' ratios."""
    baselines, values, ratios = [], [], []
    while len(ratios) < most and not is_settled(ratios, target):
        progress(f"pair {len(ratios) + 1} of at most {most}")
        baseline, value = measure(len(ratios))
        baselines.append(baseline)
        values.append(value)
        ratios.append(value / baseline)
    interval = median_interval(ratios)
    between = f"; the median lies between {interval[0]:.3f} and {interval[1]:.3f}, nine times in ten" if interval else ""
    progress("ratios of the pairs: " + ", ".join(f"{r:.3f}" for r in ratios) + between)
    return statistics.median(baselines), statistics.median(values), statistics.median(ratios)
