// The address map: ruler, BARs, a lane for each layer, where they differ, the E820; and the small whole above.

const WIDE_FROM = 640;
const RULER = 26;
const BAR_LANE = 26;
const VERDICTS = 18;
const LANE = 34;
const LANE_GAP = 10;
const STRIP = 10;
const HOST = 18;
const NAME_LINE = 18;
const SMALL_LANE = 6;

class AddressMap {
  constructor(root, { layers, bars, host, words, top, compared }) {
    this.layers = layers;
    this.bars = bars;
    this.words = words;
    this.host = host;
    this.hostBands = hostBands(host);
    this.compared = compared;
    this.differences = compared ? differencesOf(layers) : { starts: [], ends: [] };
    const hard = [...this.hostBands.starts, ...layers.flatMap((layer) => [...layer.bands.starts])];
    this.view = new View(new Scale(hard, groupEdges(bars), top), top, layers.length);
    this.hover = null;
    this.build(root);
    this.view.addEventListener("view", () => this.redrawSoon());
    this.view.addEventListener("frame", () => {
      this.describe();
      this.redrawSoon();
    });
    new ResizeObserver(() => this.measure()).observe(root);
    this.measure();
    this.describe();
  }

  build(root) {
    this.root = root;
    this.small = svg("svg", { class: "small-map", "aria-hidden": "true" });
    this.picture = svg("svg", { class: "picture", "aria-hidden": "true" });
    this.plot = html(
      "div",
      {
        class: "plot",
        tabindex: "0",
        role: "slider",
        "aria-label": "Frame of the address map",
        "aria-orientation": "horizontal",
        "aria-valuemin": "0",
        "aria-valuemax": String(this.view.top - 1),
        "aria-valuenow": "0",
        "aria-describedby": "map-legend",
      },
      this.picture,
    );
    root.append(this.small, this.plot, this.legend());
  }

  legend() {
    const used = new Set(this.layers.flatMap((layer) => [...layer.bands.kinds]));
    const items = KIND_CLASSES.flatMap((name, kind) =>
      used.has(kind)
        ? [html("li", {}, html("span", { class: `swatch swatch-${name}`, "aria-hidden": "true" }), this.words[kind])]
        : [],
    );
    if (this.bars.some((bar) => bar.verdicts.some((verdict) => verdict !== null))) {
      items.push(
        html("li", {}, html("span", { class: "mark mark-good", "aria-hidden": "true" }), "BAR maps"),
        html("li", {}, html("span", { class: "mark mark-bad", "aria-hidden": "true" }), "BAR does not map with every driver"),
      );
    }
    const more = [];
    if (this.compared) more.push(["swatch-differs", "layers differ"]);
    if (this.host.length > 0) more.push(["swatch-host-ram", "E820 RAM"], ["swatch-host-other", "E820 reserved, ACPI, …"]);
    for (const [name, text] of more) {
      items.push(html("li", {}, html("span", { class: `swatch ${name}`, "aria-hidden": "true" }), text));
    }
    return html("ul", { class: "legend", id: "map-legend", "aria-label": "Legend" }, ...items);
  }

  // How the lanes lie, from top to bottom.
  arrange(width) {
    this.wide = width >= WIDE_FROM;
    const longest = Math.max(4, ...this.layers.map((layer) => layer.name.length));
    this.gutter = this.wide ? Math.min(longest * 8 + 18, 190) : 0;
    const marked = this.bars.length > 0;
    let y = RULER;
    const rows = { ruler: 0, bars: y, layers: [] };
    if (marked) y += BAR_LANE;
    for (const layer of this.layers) {
      const judged = this.bars.some((bar) => bar.verdicts[layer.index] !== null);
      const row = { name: y + 13 };
      if (!this.wide) y += NAME_LINE;
      if (judged) y += VERDICTS;
      else if (marked && layer.index === 0) y += LANE_GAP;
      Object.assign(row, { verdicts: judged ? y - VERDICTS / 2 : null, band: y });
      if (this.wide) row.name = y + LANE / 2 + 5;
      rows.layers.push(row);
      y += LANE + LANE_GAP;
    }
    if (this.compared) {
      rows.differences = y;
      y += STRIP + LANE_GAP;
    }
    if (this.host.length > 0) {
      if (!this.wide) y += NAME_LINE - LANE_GAP;
      rows.host = y;
      y += HOST + LANE_GAP;
    }
    this.rows = rows;
    this.height = y;
  }

  measure() {
    const width = this.root.clientWidth;
    this.arrange(width);
    this.fullWidth = width;
    this.view.resize(width - this.gutter);
    this.redraw();
  }

  redrawSoon() {
    this.waiting ??= requestAnimationFrame(() => this.redraw());
  }

  redraw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = null;
    const { projection } = this.view;
    this.clusters = clustersOf(this.bars, projection);
    const lanes = svg("g", { transform: `translate(${this.gutter},0)` });
    lanes.append(drawRuler(projection, RULER));
    if (this.bars.length > 0) lanes.append(drawBarLane(this.clusters, projection.width, this.rows.bars, BAR_LANE));
    for (const layer of this.layers) lanes.append(this.drawLayer(layer, projection));
    if (this.rows.differences !== undefined) {
      lanes.append(drawDifferences(this.differences, projection, this.rows.differences, STRIP));
    }
    if (this.rows.host !== undefined) lanes.append(drawHost(this.hostBands, projection, this.rows.host, HOST));
    lanes.append(this.drawPlace(this.hover, "hover"), this.drawPlace(this.view.frame, "cursor"));
    this.picture.setAttribute("width", this.fullWidth);
    this.picture.setAttribute("height", this.height);
    this.picture.setAttribute("viewBox", `0 0 ${this.fullWidth} ${this.height}`);
    this.picture.replaceChildren(kindPatterns(), this.drawNames(), lanes);
    this.drawSmall();
  }

  drawNames() {
    const names = svg("g", { class: "names" });
    const put = (y, text, of) => names.append(svg("text", { x: 0, y, class: of }, text));
    if (this.wide && this.bars.length > 0) put(this.rows.bars + BAR_LANE - 4, "BARs", "lane-name");
    for (const layer of this.layers) {
      const selected = layer.index === this.view.layer && this.layers.length > 1;
      const most = Math.floor((this.gutter - 18) / 8);
      const name = this.wide && layer.name.length > most ? `…${layer.name.slice(1 - most)}` : layer.name;
      put(this.rows.layers[layer.index].name, name, selected ? "layer-name selected" : "layer-name");
    }
    if (this.wide && this.rows.differences !== undefined) put(this.rows.differences + STRIP, "differ", "lane-name");
    if (this.rows.host !== undefined) put(this.rows.host + (this.wide ? HOST - 4 : -5), "E820", "lane-name");
    return names;
  }

  drawLayer(layer, projection) {
    const row = this.rows.layers[layer.index];
    const group = svg("g", { class: "layer", "data-layer": layer.index });
    if (row.verdicts !== null) group.append(drawVerdicts(this.clusters, layer.index, row.verdicts));
    group.append(drawBands(visibleBands(layer.bands, projection), row.band, LANE, this.words));
    group.append(svg("rect", { x: 0, y: row.band, width: projection.width, height: LANE, class: "lane-frame" }));
    return group;
  }

  // A line at a frame through all lanes; a column where the frame is wide enough to be seen.
  drawPlace(pfn, name) {
    const { projection } = this.view;
    if (pfn === null || pfn < projection.low - 1 || pfn >= projection.high) return svg("g", {});
    const x = projection.x(Math.max(pfn, projection.low));
    const width = projection.x(Math.min(pfn + 1, projection.high)) - x;
    const y = RULER - 2;
    const group = svg("g", { class: `place ${name}` });
    if (width > 4) group.append(svg("rect", { x, y, width, height: this.height - y - LANE_GAP }));
    else {
      const below = this.bars.length > 0 ? this.rows.bars + BAR_LANE : y;
      group.append(svg("line", { x1: x + width / 2, x2: x + width / 2, y1: below, y2: this.height - LANE_GAP }));
    }
    if (name === "cursor") group.append(svg("path", { d: `M${x + width / 2 - 5},${y - 4} h10 l-5,6 z` }));
    return group;
  }

  // The whole of every layer, and what of it is in view.
  drawSmall() {
    const { view } = this;
    const height = this.layers.length * (SMALL_LANE + 1) + 5;
    if (this.smallWidth !== view.width) this.drawSmallLanes(height);
    const x = this.smallScale.x(view.low);
    const width = Math.max(this.smallScale.x(view.high) - x, 4);
    const place = { x: Math.min(x, view.width - 4), y: -1, width, height: height - 3, class: "window" };
    const inView = svg("rect", place);
    this.inView?.remove();
    this.smallLanes.append(inView);
    this.inView = inView;
  }

  drawSmallLanes(height) {
    const { view } = this;
    this.smallWidth = view.width;
    this.smallScale = view.scale.project(0, view.top, view.width, true);
    this.smallLanes = svg("g", { transform: `translate(${this.gutter},2)` });
    this.layers.forEach((layer, index) => {
      for (const { kind, x, width } of visibleBands(layer.bands, this.smallScale)) {
        const y = index * (SMALL_LANE + 1);
        this.smallLanes.append(svg("rect", { x, y, width, height: SMALL_LANE, fill: `url(#kind-${KIND_CLASSES[kind]})` }));
      }
    });
    this.small.setAttribute("width", this.fullWidth);
    this.small.setAttribute("height", height);
    this.small.replaceChildren(this.smallLanes);
  }

  describe() {
    const { frame } = this.view;
    this.plot.setAttribute("aria-valuenow", String(frame));
    this.plot.setAttribute("aria-valuetext", this.sayFrame(frame));
  }

  sayFrame(pfn) {
    const order = [...this.layers.slice(this.view.layer), ...this.layers.slice(0, this.view.layer)];
    const kinds = order.map((layer) => `${layer.name}: ${this.words[layer.kindAt(pfn)]}`);
    const bars = barsAt(this.bars, pfn).map((bar) => `BAR ${bar.label}`);
    return [`frame ${hex(pfn)} at ${addressOf(pfn)}`, ...kinds, ...bars.slice(0, 2)].join(", ");
  }

  // Which layer's lane is at a height of the picture; null where there is none.
  layerAtHeight(y) {
    const index = this.rows.layers.findIndex(({ band }) => y >= band - VERDICTS && y < band + LANE + LANE_GAP / 2);
    return index < 0 ? null : index;
  }

  // The first frame of the next run of the layer that is looked at, to the left (-1) or right (1).
  nextRun(direction) {
    const { frame, layer } = this.view;
    const { first, end } = this.layers[layer].bandAt(frame);
    if (direction > 0) return Math.min(end, this.view.top - 1);
    return frame > first ? first : this.layers[layer].bandAt(Math.max(first - 1, 0)).first;
  }
}
