"""Studies beyond one machine: the samples of a study, spread over the workers of a Ray cluster.

    with RayWorkers(load, samples, workers=8, gpus=1) as workers:
        study = TokenAblation(workers.model(), samples())
        study.run("runs/ablation", executor=workers)

Only this process writes the run directory. Workers return exactly what this process would have
computed, so the tables have the same bytes whatever the number of workers.
"""

from ._ray import RayWorkers
from ._worker import RemoteModel

__all__ = ["RayWorkers", "RemoteModel"]
