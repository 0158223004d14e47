// Where RAM ends and where BARs lie, one above the other on one axis of addresses, a doubling as wide as any other.

const CHART_GUTTER = 62;
const CHART_LETTER = 6.7;
const HISTOGRAM = 110;
const AXIS = 24;
const SIZE_ROW = 15;
const LIMITS = [
  [32, "4G", ""],
  [39, "512G", "the p2m tree ends"],
  [42, "4T", "32-bit markers"],
  [44, "16T", "32-bit frames end"],
];

function doublings(bits) {
  const unit = Math.floor(bits / 10);
  return `${2 ** (bits % 10)}${["", "K", "M", "G", "T", "P", "E"][unit]}`;
}

class Charts {
  constructor(root, fleet, says) {
    this.fleet = fleet;
    this.says = says;
    this.kernel = 0;
    const { places, ramEnds } = fleet.data;
    const columns = [...places.map(([place]) => place / 2), ...ramEnds.map(([bits]) => bits)];
    this.low = Math.floor(Math.min(30, ...columns));
    this.high = Math.ceil(Math.max(40, ...columns)) + 1;
    this.smallest = Math.min(...places.map(([, size]) => size), 12);
    this.largest = Math.max(...places.map(([, size]) => size), 20);
    this.ram = this.plot("Where RAM ends", ramEnds.length);
    this.bars = this.plot("Where BARs lie", places.length);
    root.append(this.ram.plot, this.bars.plot);
    this.listen(this.ram, (index) => this.sayRam(index), (index) => this.pickRam(index), (from, key) => this.nextRam(from, key));
    this.listen(this.bars, (index) => this.sayBin(index), (index) => this.pickBin(index), (from, key) => this.nextBin(from, key));
    fleet.addEventListener("picked", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
    this.draw();
  }

  plot(label, length) {
    const picture = svg("svg", { "aria-hidden": "true" });
    const plot = html(
      "div",
      { class: "chart-plot", tabindex: "0", role: "slider", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": String(Math.max(length - 1, 0)) },
      picture,
    );
    return { plot, picture, at: 0, length };
  }

  listen(chart, say, pick, next) {
    const show = (index) => {
      chart.at = index;
      this.says.textContent = say(index);
      this.mark(chart, say);
      this.draw();
    };
    this.mark(chart, say);
    // Not when a pointer gives the focus: what it has pressed must be there still when the click comes.
    chart.plot.addEventListener("focus", () => chart.length > 0 && chart.plot.matches(":focus-visible") && show(chart.at));
    chart.plot.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || chart.length === 0) return;
      if (event.key === "Enter" || event.key === " ") pick(chart.at);
      else {
        const to = event.key === "Home" ? 0 : event.key === "End" ? chart.length - 1 : next(chart.at, event.key);
        if (to === null) return;
        show(to);
      }
      event.preventDefault();
    });
    const indexOf = (event) => event.target.closest("[data-index]")?.dataset.index;
    chart.plot.addEventListener("pointerover", (event) => {
      const index = indexOf(event);
      if (index !== undefined) this.says.textContent = say(Number(index));
    });
    chart.plot.addEventListener("click", (event) => {
      const index = indexOf(event);
      if (index === undefined) return;
      chart.at = Number(index);
      this.mark(chart, say);
      pick(chart.at);
    });
  }

  mark({ plot, at, length }, say) {
    plot.setAttribute("aria-valuenow", String(at));
    plot.setAttribute("aria-valuetext", length === 0 ? "nothing" : say(at));
  }

  setKernel(kernel) {
    this.kernel = kernel;
    this.mark(this.bars, (index) => this.sayBin(index));
    this.draw();
  }

  x(bits) {
    return ((bits - this.low) / (this.high - this.low)) * this.width;
  }

  y(size) {
    return (this.largest - size) * SIZE_ROW + 6;
  }

  draw() {
    const full = this.ram.plot.clientWidth;
    this.width = Math.max(full - CHART_GUTTER - 8, 60);
    this.drawRam(full);
    this.drawBars(full);
  }

  drawRam(full) {
    const { ramEnds } = this.fleet.data;
    const most = Math.max(...ramEnds.map(([, machines]) => machines), 1);
    const group = svg("g", { transform: `translate(${CHART_GUTTER},0)` }, this.limits(HISTOGRAM, true));
    ramEnds.forEach(([bits, machines], index) => {
      const height = machines === 0 ? 0 : Math.max((machines / most) * (HISTOGRAM - 36), 2);
      const x = this.x(bits) + 1;
      const width = this.x(bits + 1) - this.x(bits) - 2;
      const picked = this.fleet.filter.ram === bits;
      const bar = svg("g", { "data-index": index, class: picked ? "picked" : false });
      bar.append(svg("rect", { x, y: 0, width, height: HISTOGRAM, class: "chart-hit" }));
      bar.append(svg("rect", { x, y: HISTOGRAM - height, width, height, class: "chart-ram" }));
      if (machines > 0 && width > String(machines).length * CHART_LETTER) {
        bar.append(svg("text", { x: x + width / 2, y: HISTOGRAM - height - 4, "text-anchor": "middle" }, machines));
      }
      if (index === this.ram.at) bar.append(svg("rect", { x: x - 1, y: 20, width: width + 2, height: HISTOGRAM - 20, class: "chart-cursor" }));
      group.append(bar);
    });
    group.append(svg("line", { x1: 0, x2: this.width, y1: HISTOGRAM - 0.5, y2: HISTOGRAM - 0.5, class: "chart-line" }));
    this.put(this.ram, full, HISTOGRAM, [svg("text", { x: 0, y: HISTOGRAM - 6 }, "machines"), group]);
  }

  drawBars(full) {
    const height = this.y(this.smallest) + SIZE_ROW;
    const group = svg("g", { transform: `translate(${CHART_GUTTER},0)` }, this.limits(height, false));
    const most = Math.log2(1 + Math.max(...this.fleet.data.places.map(([, , bars]) => bars), 1));
    this.fleet.data.places.forEach((row, index) => group.append(this.bin(row, index, most)));
    group.append(svg("line", { x1: 0, x2: this.width, y1: height, y2: height, class: "chart-line" }));
    let free = 0;
    for (let bits = this.low; bits <= this.high; bits += 1) {
      const text = doublings(bits);
      const half = (text.length * CHART_LETTER) / 2;
      const x = Math.min(this.x(bits), this.width - half);
      if (bits % 2 !== 0 || x - half < free) continue;
      group.append(svg("line", { x1: this.x(bits), x2: this.x(bits), y1: height, y2: height + 5, class: "chart-line" }));
      group.append(svg("text", { x, y: height + 18, "text-anchor": "middle" }, text));
      free = x + half + 10;
    }
    const names = [];
    for (let size = Math.ceil(this.smallest / 4) * 4; size <= this.largest; size += 4) {
      names.push(svg("text", { x: CHART_GUTTER - 10, y: this.y(size) + SIZE_ROW - 2, "text-anchor": "end" }, doublings(size)));
    }
    this.put(this.bars, full, height + AXIS, [svg("text", { x: 0, y: 14 }, "size"), svg("text", { x: 0, y: height + 18 }, "address"), ...names, group]);
  }

  // BARs of one place and size: the more, the larger; round where all map, square where some do not.
  bin([place, size, bars, , bad], index, most) {
    const wide = Math.min(this.x(0.5) - this.x(0), SIZE_ROW);
    const half = Math.max((wide / 2) * (0.35 + 0.65 * (Math.log2(1 + bars) / most)), 1.6);
    const x = this.x(place / 2 + 0.25);
    const y = this.y(size) + SIZE_ROW / 2;
    const fails = bad[this.kernel] > 0;
    const mark = fails
      ? svg("rect", { x: x - half, y: y - half, width: 2 * half, height: 2 * half, class: "bin-fails" })
      : svg("circle", { cx: x, cy: y, r: half, class: "bin-maps" });
    const group = svg("g", { "data-index": index }, svg("rect", { x: x - wide / 2, y: y - SIZE_ROW / 2, width: wide, height: SIZE_ROW, class: "chart-hit" }), mark);
    const picked = this.fleet.filter.bin === index;
    if (picked || index === this.bars.at) {
      group.append(svg("rect", { x: x - half - 2.5, y: y - half - 2.5, width: 2 * half + 5, height: 2 * half + 5, class: picked ? "chart-picked" : "chart-cursor" }));
    }
    return group;
  }

  // Addresses from which on something is different.
  limits(height, named) {
    const group = svg("g", { class: "limits" });
    const inside = LIMITS.filter(([bits]) => bits > this.low && bits < this.high);
    inside.forEach(([bits, name, text], index) => {
      const x = this.x(bits);
      group.append(svg("line", { x1: x, x2: x, y1: named ? 16 : 0, y2: height }));
      const room = (index + 1 < inside.length ? this.x(inside[index + 1][0]) : this.width) - x - 10;
      const told = [`${name}: ${text}`, name].find((each) => text !== "" && each.length * CHART_LETTER <= room) ?? name;
      if (named) group.append(svg("text", { x: x + 4, y: 12 }, told));
    });
    return group;
  }

  put({ picture }, width, height, children) {
    picture.setAttribute("width", width);
    picture.setAttribute("height", height);
    picture.replaceChildren(...children);
  }

  sayRam(index) {
    const [bits, machines] = this.fleet.data.ramEnds[index];
    return `RAM of ${count(machines, "machine")} ends from ${doublings(bits)} to below ${doublings(bits + 1)}`;
  }

  sayBin(index) {
    const [place, size, bars, machines, bad] = this.fleet.data.places[index];
    const from = roundedSize(2 ** (place / 2));
    const until = roundedSize(2 ** ((place + 1) / 2));
    const kernel = this.fleet.kernels[this.kernel];
    const broken = bad[this.kernel] ? `${bad[this.kernel].toLocaleString("en")} of them ${bad[this.kernel] === 1 ? "does" : "do"} not map with every driver under ${kernel}` : `all map under ${kernel}`;
    return `${count(bars, "BAR")} of ${doublings(size)} to ${doublings(size + 1)} from ${from} to ${until}, on ${count(machines, "machine")}: ${broken}`;
  }

  pickRam(index) {
    const [bits] = this.fleet.data.ramEnds[index];
    this.fleet.set({ ram: this.fleet.filter.ram === bits ? null : bits });
  }

  pickBin(index) {
    this.fleet.set({ bin: this.fleet.filter.bin === index ? null : index });
  }

  nextRam(from, key) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    return key in steps ? Math.min(Math.max(from + steps[key], 0), this.ram.length - 1) : null;
  }

  // The nearest bin to the left or right, or the next larger or smaller size near the same address.
  nextBin(from, key) {
    const { places } = this.fleet.data;
    if (key === "PageUp" || key === "PageDown") return Math.min(Math.max(from + (key === "PageUp" ? -10 : 10), 0), places.length - 1);
    const [place, size] = places[from];
    const forward = { ArrowRight: (x) => x > place, ArrowLeft: (x) => x < place, ArrowUp: (x, y) => y > size, ArrowDown: (x, y) => y < size }[key];
    if (forward === undefined) return null;
    const sideways = key === "ArrowRight" || key === "ArrowLeft";
    let best = from;
    let least = Infinity;
    places.forEach(([x, y], index) => {
      if (!forward(x, y)) return;
      const along = Math.abs(sideways ? x - place : y - size);
      const across = Math.abs(sideways ? y - size : x - place);
      if (along + 3 * across < least) {
        least = along + 3 * across;
        best = index;
      }
    });
    return best;
  }
}
