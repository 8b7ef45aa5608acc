// Fewer points that look the same: Largest-Triangle-Three-Buckets (S. Steinarsson, 2013).

export function thin(points, count) {
  if (points.length <= count) return points;
  const width = (points.length - 2) / (count - 2);
  const kept = [points[0]];
  let from = 0;
  for (let bucket = 0; bucket < count - 2; bucket += 1) {
    const begin = Math.floor(bucket * width) + 1;
    const end = Math.floor((bucket + 1) * width) + 1;
    const next = points.slice(end, Math.min(Math.floor((bucket + 2) * width) + 1, points.length));
    const x = next.reduce((sum, point) => sum + point[0], 0) / next.length;
    const y = next.reduce((sum, point) => sum + point[1], 0) / next.length;
    const [ax, ay] = points[from];
    let largest = -1;
    for (let index = begin; index < end; index += 1) {
      const area = Math.abs((ax - x) * (points[index][1] - ay) - (ax - points[index][0]) * (y - ay));
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
