"""A sweep on a Dask cluster of two workers on loopback, by the Python of `scripts/setup --oracles`; JSON out.

The domain is on the path, and nothing around it. Printed are the points that the cluster found, and those of one process.
"""

import json
from pathlib import Path
import sys

sys.path.append(str(Path(__file__).parents[1] / "custom_components" / "calvalot"))

if __name__ == "__main__":
    from distributed import LocalCluster
    from trading.backtest.spec import Spec
    from trading.backtest.sweep import grid, on_cluster, on_cores, sweep

    asked = json.load(sys.stdin)
    spec, combinations = Spec.from_json(asked["spec"]), grid(asked["ranges"])
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        there = sweep(spec, combinations, on_cluster(cluster.scheduler_address), lambda _: None)
        workers = len(cluster.scheduler_info["workers"])
    here = sweep(spec, combinations, on_cores(1), lambda _: None)
    points = ([point.to_json() for point in each] for each in (there, here))
    print(json.dumps({"workers": workers, "points": [*points]}))
