// Fewer points that look the same: Largest-Triangle-Three-Buckets (S. Steinarsson, 2013). Steps and cuts stay.

export function thin(points, count) {
  if (points.length <= count) return points;
  const runs = [];
  for (const point of points) {
    if (point.step || point.cut || !runs.length || runs.at(-1).at(-1).step) runs.push([]);
    runs.at(-1).push(point);
  }
  return runs.flatMap((run) => thinRun(run, Math.max(3, Math.round((count * run.length) / points.length))));
}

function thinRun(points, count) {
  if (points.length <= count) return points;
  const width = (points.length - 2) / (count - 2);
  const kept = [points[0]];
  let from = 0;
  for (let bucket = 0; bucket < count - 2; bucket += 1) {
    const begin = Math.floor(bucket * width) + 1;
    const end = Math.floor((bucket + 1) * width) + 1;
    const next = points.slice(end, Math.min(Math.floor((bucket + 2) * width) + 1, points.length));
    const x = next.reduce((sum, { at }) => sum + at, 0) / next.length;
    const y = next.reduce((sum, { value }) => sum + value, 0) / next.length;
    const { at: ax, value: ay } = points[from];
    let largest = -1;
    for (let index = begin; index < end; index += 1) {
      const area = Math.abs((ax - x) * (points[index].value - ay) - (ax - points[index].at) * (y - ay));
      if (area > largest) {
        largest = area;
        from = index;
      }
    }
    kept.push(points[from]);
  }
  kept.push(points.at(-1));
  return kept;
}
