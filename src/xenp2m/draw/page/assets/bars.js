// BARs above the map: near ones are drawn as one, with how many there are, and the worst verdict of each layer.

const CLUSTER_GAP = 16;
const GROUP_GAP = 2 ** 14; // frames: 64 MiB
const LEAST_BAR = 3;
const WIDE_BAR = 44; // pixels from which on a BAR is drawn on its own
const BAR_LETTER = 6.7;

// The BARs of the page's data as objects, sorted by where they are.
function readBars(rows) {
  return rows
    .map(([label, bdf, pfn, pages, text, verdicts]) => ({ label, bdf, pfn, end: pfn + pages, text, verdicts }))
    .toSorted((one, two) => one.pfn - two.pfn || one.end - two.end);
}

function barsAt(bars, pfn) {
  return bars.filter((bar) => bar.pfn <= pfn && pfn < bar.end);
}

// The frames at which groups of BARs begin and end; BARs with less than GROUP_GAP between them are one group.
function groupEdges(bars) {
  const groups = [];
  for (const { pfn, end } of bars) {
    const last = groups[groups.length - 1];
    if (last !== undefined && pfn - last[1] < GROUP_GAP) last[1] = Math.max(last[1], end);
    else groups.push([pfn, end]);
  }
  return groups.flat();
}

// BARs in view, near ones together unless they are wide enough to be told apart: {bars, x, end} with positions in pixels.
function clustersOf(bars, projection) {
  const clusters = [];
  for (const bar of bars) {
    if (bar.end <= projection.low || bar.pfn >= projection.high) continue;
    const x = projection.x(Math.max(bar.pfn, projection.low));
    const end = Math.max(projection.x(Math.min(bar.end, projection.high)), x + LEAST_BAR);
    const last = clusters[clusters.length - 1];
    const narrow = end - x < WIDE_BAR || (last !== undefined && last.end - last.x < WIDE_BAR);
    if (last !== undefined && narrow && x < last.end + CLUSTER_GAP) {
      last.bars.push(bar);
      last.extents.push([x, end]);
      last.end = Math.max(last.end, end);
    } else clusters.push({ bars: [bar], extents: [[x, end]], x, end });
  }
  return clusters;
}

// What a cluster may be called, the longest first.
function clusterNames({ bars }) {
  return bars.length === 1 ? [bars[0].label.replace(/^0000:/, "")] : [`${bars.length} BARs`, `${bars.length}`];
}

// Names for clusters that do not run into each other: [{text, middle} or null, ...].
function clusterLabels(clusters, width) {
  let free = 0;
  return clusters.map((cluster, index) => {
    const next = clusters[index + 1];
    const room = next === undefined ? width : (next.x + next.end) / 2 - BAR_LETTER;
    for (const text of clusterNames(cluster)) {
      const half = (text.length * BAR_LETTER) / 2;
      const middle = Math.min(Math.max((cluster.x + cluster.end) / 2, half), width - half);
      if (middle - half < free || middle + half > room) continue;
      free = middle + half + BAR_LETTER;
      return { text, middle };
    }
    return null;
  });
}

function drawBarLane(clusters, width, y, height) {
  const group = svg("g", { class: "bar-lane" });
  const labels = clusterLabels(clusters, width);
  clusters.forEach((cluster, index) => {
    const marks = svg("g", { class: "cluster", "data-cluster": index });
    for (const [x, end] of cluster.extents) {
      marks.append(svg("rect", { x, y: y + height - 5, width: Math.max(end - x - 1, LEAST_BAR - 1), height: 5, class: "bar" }));
    }
    if (labels[index] !== null) {
      const { text, middle } = labels[index];
      marks.append(svg("text", { x: middle, y: y + height - 9, "text-anchor": "middle" }, text));
    }
    marks.append(svg("title", {}, cluster.bars.slice(0, 12).map((bar) => `${bar.label} ${bar.text}\n`).join("")));
    group.append(marks);
  });
  return group;
}

// A check where every BAR of a cluster maps with every driver, a cross where one does not.
function drawVerdicts(clusters, layer, y) {
  const group = svg("g", { class: "verdicts" });
  for (const { bars, x, end } of clusters) {
    const verdicts = bars.map((bar) => bar.verdicts[layer]).filter((verdict) => verdict !== null);
    if (verdicts.length === 0) continue;
    const bad = verdicts.filter((verdict) => verdict !== "maps").length;
    const middle = (x + end) / 2;
    const path = bad ? "M-4,-4 L4,4 M4,-4 L-4,4" : "M-4.5,0.5 L-1.5,3.5 L4.5,-3.5";
    group.append(
      svg(
        "g",
        { transform: `translate(${middle},${y})`, class: bad ? "bad" : "good" },
        svg("path", { d: path }),
        svg("title", {}, bad ? `${bad} of ${verdicts.length} do not map with every driver` : `${verdicts.length} map`),
      ),
    );
  }
  return group;
}
