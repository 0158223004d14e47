// One frame map, and what is known of its frames: look-ups by frame number.

const RAM = 0;
const IDENTITY = 1;
const FOREIGN = 2;
const MISSING = 3;
const UNTOLD = 4;
const KIND_CLASSES = ["ram", "identity", "foreign", "missing", "untold"];

// Compressed columns are unpacked by the browser itself.
async function unpacked(value) {
  if (value === null || typeof value !== "object" || typeof value.deflate !== "string") return value;
  const bytes = Uint8Array.from(atob(value.deflate), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

class Layer {
  static async read(raw, index) {
    const layer = new Layer();
    layer.index = index;
    layer.name = raw.name;
    layer.end = raw.end;
    layer.beyond = raw.beyond;
    layer.whole = raw.whole;
    layer.predicted = raw.predicted;
    layer.layout = raw.layout;
    layer.untold = raw.untold.toSorted(([one], [two]) => one - two);
    layer.untoldStarts = Float64Array.from(layer.untold, ([start]) => start);
    layer.source = raw.source ?? [];
    layer.zones = raw.zones;
    layer.wrap = raw.wrap;
    const runs = await unpacked(raw.runs);
    layer.setRuns(runs);
    layer.pieces = await unpacked(raw.pieces ?? null);
    layer.whys = await unpacked(raw.whys ?? null);
    layer.ways = await unpacked(raw.ways);
    return layer;
  }

  setRuns({ pages, kinds, mfns }) {
    this.starts = new Float64Array(pages.length + 1);
    this.kinds = new Uint8Array(pages.length + 1);
    this.mfns = mfns;
    let at = 0;
    pages.forEach((count, index) => {
      this.starts[index] = at;
      this.kinds[index] = Number(kinds[index]);
      at += count;
    });
    this.starts[pages.length] = this.end;
    this.kinds[pages.length] = this.beyond;
    this.setBands();
  }

  // Bands are runs by kind alone, what the map cannot tell being a kind of its own: they are what is drawn.
  setBands() {
    const edges = new Set(this.starts);
    for (const [start, end] of this.untold) {
      edges.add(start);
      edges.add(end);
    }
    edges.delete(END_OF_FRAMES);
    const starts = [];
    const kinds = [];
    for (const start of Float64Array.from(edges).sort()) {
      const kind = this.kindAt(start);
      if (kind !== kinds[kinds.length - 1] && start < END_OF_FRAMES) {
        starts.push(start);
        kinds.push(kind);
      }
    }
    this.bands = { starts: Float64Array.from(starts), kinds: Uint8Array.from(kinds) };
  }

  untoldAt(pfn) {
    const index = indexAt(this.untoldStarts, pfn);
    return index >= 0 && pfn < this.untold[index][1] ? this.untold[index] : null;
  }

  kindAt(pfn) {
    return this.untoldAt(pfn) === null ? this.kinds[indexAt(this.starts, pfn)] : UNTOLD;
  }

  // The band of a frame: {first, end, kind}; the last one ends with the frames that hardware can address.
  bandAt(pfn) {
    const index = indexAt(this.bands.starts, pfn);
    return {
      first: this.bands.starts[index],
      end: this.bands.starts[index + 1] ?? END_OF_FRAMES,
      kind: this.bands.kinds[index],
    };
  }

  // The machine frame of a frame as a BigInt; null for a missing one, and where nobody knows it.
  mfnAt(pfn) {
    const kind = this.kindAt(pfn);
    if (kind === MISSING || kind === UNTOLD) return null;
    const index = indexAt(this.starts, pfn);
    const base = this.mfns === null ? null : (this.mfns[index] ?? null);
    if (base !== null) return BigInt(base) + BigInt(pfn - this.starts[index]);
    return kind === IDENTITY && this.mfns !== null ? BigInt(pfn) : null;
  }

  // Why a frame is what it is: [[text, source], ...], the rule that decides first.
  whyAt(pfn) {
    if (this.pieces === null) {
      const untold = this.untoldAt(pfn);
      const told = untold === null ? [] : [[`${untold[2]}: ${untold[3]}`, ""]];
      return [...told, ...this.source.map((text) => [text, ""])];
    }
    return this.whys[this.pieces.why[this.pieceAt(pfn)]];
  }

  pieceAt(pfn) {
    const number = pfn < 2 * this.wrap ? pfn : this.wrap + (pfn % this.wrap);
    return indexAt(this.pieces.starts, number);
  }

  // The ways of mapping a frame, in the order of MAPPERS; null where the kind is not known.
  waysAt(pfn) {
    if (this.pieces !== null) return this.ways[this.pieces.way[this.pieceAt(pfn)]];
    const kind = this.kindAt(pfn);
    if (kind === UNTOLD) return null;
    const known = kind !== RAM || this.mfnAt(pfn) !== null;
    return this.ways[`${KIND_CLASSES[kind]}${known ? "" : "?"}`]?.[indexAt(this.zones, pfn)] ?? null;
  }
}

// Where layers are not of one kind: {starts, ends}, sorted.  What a layer cannot tell is no difference.
function differencesOf(layers) {
  const starts = [];
  const ends = [];
  if (layers.length < 2) return { starts, ends };
  const edges = Float64Array.from(new Set(layers.flatMap((layer) => [...layer.bands.starts]))).sort();
  edges.forEach((edge, index) => {
    const kinds = new Set(layers.map((layer) => layer.bandAt(edge).kind));
    kinds.delete(UNTOLD);
    if (kinds.size < 2) return;
    const end = edges[index + 1] ?? END_OF_FRAMES;
    if (ends[ends.length - 1] === edge) ends[ends.length - 1] = end;
    else {
      starts.push(edge);
      ends.push(end);
    }
  });
  return { starts, ends };
}
