// Bands of frames as rectangles: by colour and pattern, named where there is room.

const LEAST_WIDTH = 1.5;
const LABEL_PADDING = 8;
const LABEL_LETTER = 7.7;

// Fillings of the kinds: RAM is solid, 1:1 hatched, foreign checked, missing sparsely dotted, ? lined.
function kindPatterns() {
  const tile = (kind, attributes, ...marks) =>
    svg(
      "pattern",
      { id: `kind-${kind}`, patternUnits: "userSpaceOnUse", width: 7, height: 7, ...attributes },
      svg("rect", { width: 7, height: 7, class: `ground-${kind}` }),
      ...marks,
    );
  return svg(
    "defs",
    {},
    tile("ram", {}),
    tile("identity", { patternTransform: "rotate(45)" }, svg("rect", { width: 3, height: 7, class: "xp-f-identity" })),
    tile(
      "foreign",
      {},
      svg("rect", { width: 3.5, height: 3.5, class: "xp-f-foreign" }),
      svg("rect", { x: 3.5, y: 3.5, width: 3.5, height: 3.5, class: "xp-f-foreign" }),
    ),
    tile("missing", {}, svg("circle", { cx: 3.5, cy: 3.5, r: 0.9, class: "xp-f-missing" })),
    tile("untold", {}, svg("rect", { y: 2, width: 7, height: 2, class: "xp-f-untold" })),
  );
}

// What of sorted bands is in view, as {kind, first, end, x, width}.  Neighbours that are too narrow to be seen
// become one, of the kind that has the most of it; a narrow band between wide ones keeps a least width.
function visibleBands({ starts, kinds }, projection) {
  const found = [];
  let index = Math.max(indexAt(starts, projection.low), 0);
  while (index < starts.length && starts[index] < projection.high) {
    const first = Math.max(starts[index], projection.low);
    const begins = index;
    const x = projection.x(first);
    const pages = new Map();
    let end = first;
    let last = x;
    do {
      const until = Math.min(starts[index + 1] ?? Infinity, projection.high);
      pages.set(kinds[index], (pages.get(kinds[index]) ?? 0) + until - end);
      end = until;
      last = projection.x(end);
      index += 1;
    } while (last - x < LEAST_WIDTH && index < starts.length && tooNarrow(starts, index, last, projection));
    const [kind] = [...pages].reduce((most, each) => (each[1] > most[1] ? each : most));
    const entire = index === begins + 1 && starts[begins] >= projection.low && starts[index] <= projection.high;
    found.push({ kind, first, end, x, width: Math.max(last - x, LEAST_WIDTH), entire });
  }
  return found;
}

function tooNarrow(starts, index, x, projection) {
  if (starts[index] >= projection.high) return false;
  const end = Math.min(starts[index + 1] ?? Infinity, projection.high);
  return projection.x(end) - x < LEAST_WIDTH;
}

// Wide bands first, so that a narrow one is not painted over by its neighbour.
function drawBands(bands, y, height, words) {
  const group = svg("g", { class: "bands" });
  const labels = svg("g", { class: "band-labels" });
  for (const band of bands.toSorted((one, two) => two.width - one.width)) {
    const { kind, x, width } = band;
    group.append(
      svg("rect", { x, y, width, height, class: `band band-${KIND_CLASSES[kind]}`, fill: `url(#kind-${KIND_CLASSES[kind]})` }),
    );
    const text = bandLabel(band, words[kind]);
    if (text !== "") {
      const middle = { x: x + width / 2, y: y + height / 2 + 4.5, "text-anchor": "middle" };
      labels.append(svg("text", { ...middle, class: `band-label on-${KIND_CLASSES[kind]}` }, text));
    }
  }
  group.append(labels);
  return group;
}

function bandLabel(band, word) {
  const room = (band.width - 2 * LABEL_PADDING) / LABEL_LETTER;
  const sized = `${word} ${sizeOf(Math.round(band.end - band.first))}`;
  if (band.entire && sized.length <= room) return sized;
  return word.length <= room ? word : "";
}

// The host's E820 as bands: RAM, other entries, and nothing where it has no entry.
function hostBands(host) {
  const edges = Float64Array.from(new Set([0, ...host.flatMap(([first, end]) => [first, end])])).sort();
  const starts = [];
  const kinds = [];
  for (const edge of edges) {
    const inside = host.filter(([first, end]) => first <= edge && edge < end);
    const kind = inside.length === 0 ? "" : inside.some(([, , type]) => type !== "ram") ? "other" : "ram";
    if (kind !== kinds[kinds.length - 1]) {
      starts.push(edge);
      kinds.push(kind);
    }
  }
  return { starts, kinds };
}

function drawHost(bands, projection, y, height) {
  const group = svg("g", { class: "host" });
  for (const { kind, x, width } of visibleBands(bands, projection)) {
    if (kind === "") continue;
    group.append(svg("rect", { x, y, width, height, class: `host-${kind}` }));
    const word = kind === "ram" ? "RAM" : "reserved, ACPI, …";
    if (word.length * LABEL_LETTER + 2 * LABEL_PADDING <= width) {
      group.append(svg("text", { x: x + width / 2, y: y + height - 4, "text-anchor": "middle", class: `host-text on-host-${kind}` }, word));
    }
  }
  return group;
}

function drawDifferences({ starts, ends }, projection, y, height) {
  const group = svg("g", { class: "differences" });
  let from = null;
  let to = -Infinity;
  const flush = () => {
    if (from !== null) group.append(svg("rect", { x: from, y, width: Math.max(to - from, 3), height }));
  };
  for (let index = Math.max(indexAt(starts, projection.low), 0); index < starts.length; index += 1) {
    if (starts[index] >= projection.high) break;
    if (ends[index] <= projection.low) continue;
    const x = projection.x(Math.max(starts[index], projection.low));
    const end = projection.x(Math.min(ends[index], projection.high));
    if (from !== null && x <= to + 1) to = Math.max(to, end);
    else {
      flush();
      from = x;
      to = Math.max(end, x + 3);
    }
  }
  flush();
  return group;
}
