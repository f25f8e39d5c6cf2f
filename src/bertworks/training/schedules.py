"""Courses of the learning rate: a factor in [0, 1] as a pure function of the step."""

import math

from bertworks.training.config import ScheduleName


def rate_factor(step: int, total: int, schedule: ScheduleName, warmup: float, decay: float) -> float:
    """The factor for step `step` (from 0) of `total`.

    Rises linearly over the first `warmup` share of the steps, all but the last at most. Then: linear falls to 0 at `total`
    (Devlin et al. 2019, appendix A.2), cosine falls along half a cosine (Loshchilov & Hutter 2017), warmup_stable_decay stays
    at 1 and falls linearly over the last `decay` share (Hu et al. 2024, section 4), constant stays at 1.

    >>> [round(rate_factor(s, 10, "linear", 0.2, 0.2), 3) for s in (0, 1, 2, 6)]
    [0.0, 0.5, 1.0, 0.5]
    """
    rising = min(math.ceil(total * warmup), total - 1)
    if step < rising:
        return step / rising
    left = (total - step) / max(1, total - rising)
    if schedule == "linear":
        return left
    if schedule == "cosine":
        return 0.5 * (1 - math.cos(math.pi * left))
    if schedule == "warmup_stable_decay":
        return min(1.0, (total - step) / max(1, math.ceil(total * decay)))
    return 1.0
