"""The figures of docs/numerics.md: measured orders, errors of factors, and what the stream costs in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
from scipy.linalg import expm
from scipy.ndimage import map_coordinates

import pde_video as pv

BOUNDARIES = ("neumann", "periodic", "dirichlet")


def matrix_of(term: pv.Term, shape: tuple[int, ...]) -> np.ndarray:
    """The linear operator of a term, column by column."""
    n = int(np.prod(shape))
    return np.stack([term.rate(0.0, unit.reshape(1, *shape)).ravel() for unit in np.eye(n)], axis=1)


def order(step: pv.Step) -> float:
    """Slope of the error at t = 0.5 over dt, against the exponential of the matrix."""
    u, counts = np.random.default_rng(20).normal(size=(6, 5)), np.array([16, 32, 64, 128])
    exact = expm(0.5 * matrix_of(pv.Heat(), (6, 5))) @ u.ravel()
    results = (pv.evolve(pv.Heat(), u, pv.uniform(0.5, steps=n), step=step) for n in counts)
    errors = [np.abs(result.ravel() - exact).max() for result in results]
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0])


def residual_of_implicit(boundary: str) -> float:
    u = np.random.default_rng(20).normal(size=(6, 7, 5))
    heat = pv.Heat(boundary=boundary)
    z = pv.evolve(heat, u, [0, 30.0], step=pv.implicit_euler)
    return float(np.abs(z - 30.0 * heat.rate(0.0, z[None])[0] - u).max())


def box_error(step: pv.Step, n: int) -> float:
    impulse, box = np.zeros(101), np.zeros(101)
    impulse[50], box[50 - n : 51 + n] = 1.0, 1 / (2 * n + 1)
    return float(np.abs(pv.evolve(pv.Heat(), impulse, [0, n * (n + 1) / 6], step=step) - box).max())


def factor_error(step: pv.Step, factor: Callable[[float], float], dt: float) -> float:
    """Largest error over all eigenvectors and boundaries of a small grid, against the factor of the scheme."""
    worst = 0.0
    for boundary in BOUNDARIES:
        heat = pv.Heat(boundary=boundary)
        values, vectors = np.linalg.eigh(matrix_of(heat, (6, 5)))
        for value, vector in zip(values, vectors.T, strict=True):
            z = pv.evolve(heat, vector.reshape(6, 5), [0, dt], step=step).ravel()
            worst = max(worst, float(np.abs(z - factor(dt * value) * vector).max()))
    return worst


def variance_error(step: pv.Step) -> float:
    """Error of the variance of an impulse after two steps, which is to be 2 dt per axis and step."""
    impulse, x = np.zeros((61, 61)), np.arange(61) - 30
    impulse[30, 30] = 1.0
    profile = pv.evolve(pv.Heat(), impulse, [0, 0.2, 0.4], step=step).sum(axis=0)
    return float(abs((profile * x**2).sum() - 0.8))


def overshoot(step: pv.Step, term: pv.Term, dt: float) -> float:
    """How far a step leaves the range of random data in [0, 1)."""
    y = np.random.default_rng(20).random((20, 21))
    z = pv.evolve(term, y, [0, dt], step=step)
    return float(max(z.max() - y.max(), y.min() - z.min(), 0.0))


def space_order() -> float:
    errors, sizes = [], [32, 64, 128, 256]
    for n in sizes:
        x = (np.arange(n) + 0.5) / n
        rate = pv.Heat(spacing=1 / n, boundary="periodic").rate(0.0, np.sin(2 * np.pi * x)[None])[0]
        errors.append(np.abs(rate + 4 * np.pi**2 * np.sin(2 * np.pi * x)).max())
    return float(-np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def ring_deviation(term: pv.Term, t: float) -> float:
    """Largest deviation of an evolved ring of contrast 1 from its mean along a circle."""
    x = np.arange(101) - 50.0
    picture = pv.evolve(term, np.exp(-((np.hypot(*np.meshgrid(x, x)) - 25) ** 2) / (2 * 4**2)), pv.uniform(t))
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    at = ([50 + r * np.sin(angle), 50 + r * np.cos(angle)] for r in np.arange(2, 46, 0.5))
    circles = [map_coordinates(picture, points, order=3) for points in at]
    return max(float(np.abs(circle - circle.mean()).max()) for circle in circles)


def peak_memory(frames: int) -> int:
    """Peak memory in MB of a space-time stream of so many frames, in a process of its own."""
    code = (
        "import numpy as np, pde_video as pv\nfrom pde_video.jobs.trial import peak_memory\n"
        f"video = (np.full((120, 160), k % 7, np.float32) for k in range({frames}))\n"
        "for _ in pv.spacetime(pv.PeronaMalik(0.1), pv.uniform(1.0), cuts=[])(video): pass\n"
        "print(peak_memory() // 2**20)"
    )
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    print("| figure | measured |\n|---|---|")
    for step in (pv.explicit_euler, pv.implicit_euler, pv.aos, pv.crank_nicolson, pv.heun, pv.rkl2):
        print(f"| order in time, `{step.__name__}` | {order(step):.2f} |")
    closed = {
        pv.explicit_euler: (lambda z: 1 + z, 0.2),
        pv.heun: (lambda z: 1 + z + z * z / 2, 0.2),
        pv.implicit_euler: (lambda z: 1 / (1 - z), 30.0),
        pv.crank_nicolson: (lambda z: (1 + z / 2) / (1 - z / 2), 30.0),
    }
    for step, (factor, dt) in closed.items():
        print(f"| factors on eigenvectors, all boundaries, `{step.__name__}` | {factor_error(step, factor, dt):.0e} |")
    steps = (*closed, pv.aos, pv.fed, pv.fsi, pv.rkl2)
    print(
        f"| variance of an impulse against 2 dt per axis, worst of all steps | {max(map(variance_error, steps)):.0e} |"
    )
    for step in (pv.implicit_euler, pv.aos):
        worst = max(overshoot(step, pv.PeronaMalik(0.5), dt) for dt in (0.1, 10.0, 1000.0))
        print(f"| range left by `{step.__name__}` of Perona–Malik, dt = 0.1, 10, 1000 | {worst:.0e} |")
    for term in (pv.EdgeEnhancing(0.1), pv.CoherenceEnhancing(0.01)):
        left = overshoot(pv.explicit_euler, term, term.stable_dt(2))
        print(f"| range left by explicit `{type(term).__name__}` at its bound | {left:.0e} |")
    print(f"| order in space, second difference | {space_order():.2f} |")
    for boundary in BOUNDARIES:
        print(f"| residual of an implicit step of 30, {boundary} | {residual_of_implicit(boundary):.0e} |")
    for step in (pv.fed, pv.fsi):
        worst = max(box_error(step, n) for n in (5, 10, 20))
        print(f"| one cycle of `{step.__name__}` against the box filter, n = 5, 10, 20 | {worst:.0e} |")
    for name in ("rational", "charbonnier", "weickert"):
        terms = [pv.EdgeEnhancing(kappa, conductance=name) for kappa in (0.02, 0.05, 0.1)]
        worst = max(ring_deviation(term, t) for term in terms for t in (5.0, 20.0))
        print(f"| a ring stays a ring: EED, {name}, worst of κ = 0.02, 0.05, 0.1 and t = 5, 20 | {100 * worst:.1f} % |")
    memory = [peak_memory(frames) for frames in (100, 1000)]
    print(f"| peak memory of `spacetime`, 100 and 1,000 frames of 120 × 160 | {memory[0]} and {memory[1]} MB |")


if __name__ == "__main__":
    main()
