"""Studies past one machine: the samples of one study, spread over the workers of a Ray cluster.

    with RayWorkers(load, samples, workers=8, gpus=1) as workers:
        study = TokenAblation(workers.model(), samples())
        study.run("runs/ablation", executor=workers)

Only this process writes the run directory; what the workers send back is what they would have
written here, so that the tables are the same bytes, however many workers there were.
"""

from ._ray import RayWorkers
from ._worker import RemoteModel

__all__ = ["RayWorkers", "RemoteModel"]
