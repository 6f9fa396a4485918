"""The recursions of the optimizers' papers in NumPy, on lists of arrays: what the rules are compared with."""

from collections.abc import Sequence

import numpy as np

Arrays = list[np.ndarray]


class Recursion:
    """One optimizer; `step` returns the new weights.

    Args:
        decay: Coefficient of the weight decay.
        **options: The method's.
    """

    def __init__(self, decay: float = 0.0, **options: float):
        self.decay, self.options = decay, options
        self.t = 0
        self.memory: dict[str, Arrays] = {}

    def kept(self, name: str, like: Sequence[np.ndarray], value: float = 0.0) -> Arrays:
        return self.memory.setdefault(name, [np.full_like(a, value) for a in like])

    def step(self, w: Arrays, g: Arrays, rate: float) -> Arrays:
        self.t += 1
        return self.moved(w, g, rate)

    def moved(self, w: Arrays, g: Arrays, rate: float) -> Arrays:
        raise NotImplementedError


class Sign(Recursion):
    def moved(self, w, g, rate):
        b = self.options["momentum"]
        m = self.memory["m"] = [b * m + (1 - b) * a for m, a in zip(self.kept("m", g), g, strict=True)]
        return [p - rate * (np.sign(a) + self.decay * p) for p, a in zip(w, m, strict=True)]


class Normalized(Recursion):
    def moved(self, w, g, rate):
        b = self.options["momentum"]
        m = self.memory["m"] = [b * m + (1 - b) * a for m, a in zip(self.kept("m", g), g, strict=True)]
        norm = np.sqrt(sum(np.sum(a**2) for a in m))
        return [p - rate * (a / norm + self.decay * p) for p, a in zip(w, m, strict=True)]


class Layerwise(Recursion):
    def ratio(self, p, g):
        if p.ndim < 2:
            return 1.0
        norm_w, norm_g = np.linalg.norm(p), np.linalg.norm(g)
        return self.options["trust_coefficient"] * norm_w / (norm_g + self.decay * norm_w + 1e-8)


class LARS(Layerwise):
    """You et al. 2017, algorithm 1."""

    def moved(self, w, g, rate):
        v = self.kept("v", w)
        for i, (p, a) in enumerate(zip(w, g, strict=True)):
            v[i] = self.options["momentum"] * v[i] + rate * self.ratio(p, a) * (a + self.decay * p)
        return [p - b for p, b in zip(w, v, strict=True)]


class LARC(Layerwise):
    def moved(self, w, g, rate):
        v = self.kept("v", w)
        for i, (p, a) in enumerate(zip(w, g, strict=True)):
            factor = min(self.ratio(p, a) / rate, 1) if p.ndim > 1 else 1
            v[i] = self.options["momentum"] * v[i] + factor * (a + self.decay * p)
        return [p - rate * b for p, b in zip(w, v, strict=True)]


class LAMB(Recursion):
    """You et al. 2020, algorithm 2."""

    def moved(self, w, g, rate):
        b1, b2, eps = (self.options[name] for name in ("beta_1", "beta_2", "epsilon"))
        m, v, new = self.kept("m", w), self.kept("v", w), []
        for i, (p, a) in enumerate(zip(w, g, strict=True)):
            m[i] = b1 * m[i] + (1 - b1) * a
            v[i] = b2 * v[i] + (1 - b2) * a**2
            r = m[i] / (1 - b1**self.t) / (np.sqrt(v[i] / (1 - b2**self.t)) + eps) + self.decay * p
            ratio = np.linalg.norm(p) / np.linalg.norm(r) if p.ndim > 1 else 1
            new.append(p - rate * ratio * r)
        return new


class Adai(Recursion):
    """Xie et al. 2022, algorithms 2 and 3."""

    def moved(self, w, g, rate):
        b0, b2, eps = (self.options[name] for name in ("beta_0", "beta_2", "epsilon"))
        m, v, product = self.kept("m", w), self.kept("v", w), self.kept("product", w, 1.0)
        decoupled = self.options.get("decoupled", False)
        if not decoupled:
            g = [a + self.decay * p for p, a in zip(w, g, strict=True)]
        for i, a in enumerate(g):
            v[i] = b2 * v[i] + (1 - b2) * a**2
        hat = [a / (1 - b2**self.t) for a in v]
        mean = np.concatenate([np.ravel(a) for a in hat]).mean()
        new = []
        for i, (p, a) in enumerate(zip(w, g, strict=True)):
            beta = np.clip(1 - b0 / mean * hat[i], 0, 1 - eps)
            product[i] = product[i] * beta
            m[i] = beta * m[i] + (1 - beta) * a
            shrunk = p * (1 - rate * self.decay) if decoupled else p
            new.append(shrunk - rate * m[i] / (1 - product[i]))
        return new


class PNM(Recursion):
    """Xie et al. 2021, algorithm 1: buffers of even and odd steps."""

    def difference(self, g):
        b1, b0 = self.options["beta_1"], self.options["beta_0"]
        mine, other = ("odd", "even") if self.t % 2 else ("even", "odd")
        m, last = self.kept(mine, g), self.kept(other, g)
        for i, a in enumerate(g):
            m[i] = b1**2 * m[i] + (1 - b1**2) * a
        length = np.sqrt((1 + b0) ** 2 + b0**2)
        return [((1 + b0) * a - b0 * b) / length for a, b in zip(m, last, strict=True)]

    def moved(self, w, g, rate):
        return [p * (1 - rate * self.decay) - rate * d for p, d in zip(w, self.difference(g), strict=True)]


class AdaPNM(PNM):
    """Xie et al. 2021, algorithm 2."""

    def moved(self, w, g, rate):
        b1, b2, eps = (self.options[name] for name in ("beta_1", "beta_2", "epsilon"))
        v, largest, new = self.kept("v", w), self.kept("largest", w), []
        for i, (p, a, d) in enumerate(zip(w, g, self.difference(g), strict=True)):
            v[i] = b2 * v[i] + (1 - b2) * a**2
            largest[i] = np.maximum(largest[i], v[i]) if self.options["amsgrad"] else v[i]
            root = np.sqrt(largest[i]) / np.sqrt(1 - b2**self.t) + eps
            new.append(p * (1 - rate * self.decay) - rate / (1 - b1**self.t) * d / root)
        return new


class Muon(Recursion):
    """Jordan et al. 2024; of variables of less than two axes, and of the last of more, Adam."""

    def moved(self, w, g, rate):
        mu, m, v, new = self.options["momentum"], self.kept("m", w), self.kept("v", w), []
        head = max(i for i, p in enumerate(w) if p.ndim > 1)
        for i, (p, a) in enumerate(zip(w, g, strict=True)):
            if p.ndim > 1 and i != head:
                m[i] = mu * m[i] + (1 - mu) * a
                u = mu * m[i] + (1 - mu) * a if self.options["nesterov"] else m[i]
                u = self.orthogonal(u.reshape(-1, p.shape[-1])).reshape(p.shape)
                u = u * max(1, p.shape[-1] / (p.size / p.shape[-1])) ** 0.5
            else:
                m[i] = 0.9 * m[i] + 0.1 * a
                v[i] = 0.95 * v[i] + 0.05 * a**2
                u = m[i] / (1 - 0.9**self.t) / (np.sqrt(v[i] / (1 - 0.95**self.t)) + 1e-10)
                u = u * self.options["adam_rate"]
            new.append(p * (1 - rate * self.decay) - rate * u)
        return new

    def orthogonal(self, x):
        """Row by row of the singular values: the iteration acts on each of them alone."""
        left, values, right = np.linalg.svd(x, full_matrices=False)
        values = values / (np.linalg.norm(x) + 1e-7)
        for _ in range(int(self.options["newton_schulz_steps"])):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        return left @ np.diag(values) @ right
