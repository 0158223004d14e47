// Machines × kernels as a strip: a column a machine, a row a kernel; the worse, the taller and the redder.
// Where BARs do not map, the height says how many of the machine's BARs.

const STRIP_ROW = 46;
const STRIP_GAP = 10;
const LEVEL_CLASSES = ["good", "plain", "warn", "error", "bad", "bad", "bad", "stops", "none"];
const LEVEL_HEIGHTS = [0.2, 0.1, 0.34, 0.42, 1, 1, 1, 1, 0.04];
const LEAST_BROKEN = 0.5; // of the height, for one BAR of many

// The part of the full height that says which share of a machine's BARs does not map.
function partOf(share) {
  return LEAST_BROKEN + (1 - LEAST_BROKEN) * share;
}

class Strip {
  constructor(root, fleet, { onOpen, says }) {
    this.fleet = fleet;
    this.onOpen = onOpen;
    this.says = says;
    this.at = 0;
    this.chosen = false;
    const gutter = Math.max(...fleet.kernels.map((name) => name.length), 4) * 8.5 + 14;
    this.gutter = Math.min(gutter, 160);
    this.picture = svg("svg", { "aria-hidden": "true" });
    this.plot = html(
      "div",
      { class: "strip-plot", tabindex: "0", role: "slider", "aria-label": "Machine", "aria-valuemin": "0", "aria-orientation": "horizontal" },
      this.picture,
    );
    root.append(this.plot);
    fleet.addEventListener("picked", () => {
      this.at = 0;
      this.chosen = false;
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(root);
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("focus", () => this.show(this.at));
    this.plot.addEventListener("pointermove", (event) => this.show(this.machineAt(event), false));
    this.plot.addEventListener("pointerleave", () => this.show(this.chosen ? this.at : null, false));
    this.plot.addEventListener("click", (event) => {
      const index = this.machineAt(event);
      if (index !== null && index < this.fleet.picked.length) {
        this.show(index);
        this.onOpen(this.fleet.picked[index]);
      }
    });
    this.draw();
  }

  // Runs of machines that look alike under a kernel: [[level, height, machines], ...].
  runs(kernel) {
    const found = [];
    const add = (level, part, machines) => {
      const height = Math.round(LEVEL_HEIGHTS[level] * part * STRIP_ROW);
      const last = found[found.length - 1];
      if (last?.[0] === level && last[1] === height) last[2] += machines;
      else found.push([level, height, machines]);
    };
    for (const machine of this.fleet.picked) {
      const level = machine.levels[kernel];
      add(level, level === BROKEN ? partOf(machine.bad[kernel] / machine.bars) : 1, 1);
    }
    if (!this.fleet.isWhole) return found;
    for (const [levels, machines, shares] of this.fleet.data.rest) {
      const level = Number(levels[kernel]);
      add(level, level === BROKEN ? partOf(shares[kernel]) : 1, machines);
    }
    return found;
  }

  get total() {
    const others = this.fleet.isWhole ? this.fleet.data.machines - this.fleet.data.listed : 0;
    return this.fleet.picked.length + others;
  }

  draw() {
    const full = this.plot.clientWidth;
    const { kernels } = this.fleet;
    this.width = Math.max(full - this.gutter, 40);
    this.height = kernels.length * (STRIP_ROW + STRIP_GAP);
    this.column = this.width / Math.max(this.total, 1);
    const rows = kernels.map((name, kernel) => this.row(name, kernel));
    const lanes = svg("g", { transform: `translate(${this.gutter},0)` });
    if (this.total > this.fleet.picked.length) lanes.append(this.unlisted());
    this.cursor = svg("g", { class: "strip-cursor" });
    lanes.append(...rows.map(({ lane }) => lane), this.cursor);
    this.picture.setAttribute("width", full);
    this.picture.setAttribute("height", this.height);
    this.picture.replaceChildren(...rows.map(({ label }) => label), lanes);
    this.plot.setAttribute("aria-valuemax", String(Math.max(this.fleet.picked.length - 1, 0)));
    this.show(this.chosen ? this.at : null, false);
    this.describe();
  }

  row(name, kernel) {
    const y = kernel * (STRIP_ROW + STRIP_GAP);
    const lane = svg("g", {});
    let done = 0;
    for (const [level, height, machines] of this.runs(kernel)) {
      const x = done * this.column;
      const width = Math.max(machines * this.column - (this.column > 5 ? 1 : 0), 0.8);
      lane.append(svg("rect", { x, y: y + STRIP_ROW - height, width, height, class: `level-${LEVEL_CLASSES[level]}` }));
      if (this.column > 5) lane.append(...this.gaps(x, y + STRIP_ROW - height, machines, height));
      done += machines;
    }
    lane.append(svg("line", { x1: 0, x2: this.width, y1: y + STRIP_ROW + 0.5, y2: y + STRIP_ROW + 0.5, class: "strip-base" }));
    const label = svg("text", { x: 0, y: y + STRIP_ROW - 4, class: "strip-name" }, name);
    return { lane, label };
  }

  // Where there is room, machines of one level stand apart.
  gaps(x, y, machines, height) {
    return Array.from({ length: machines - 1 }, (_, index) =>
      svg("rect", { x: x + (index + 1) * this.column - 1, y, width: 1, height, class: "strip-gap" }),
    );
  }

  unlisted() {
    const x = this.fleet.picked.length * this.column;
    const group = svg("g", {}, svg("rect", { x, y: 0, width: this.width - x, height: this.height - STRIP_GAP, class: "strip-unlisted" }));
    const text = `${count(this.total - this.fleet.picked.length, "machine")} without a row`;
    if (this.width - x > text.length * 7) group.append(svg("text", { x: this.width - 6, y: 13, "text-anchor": "end", class: "strip-note" }, text));
    return group;
  }

  machineAt(event) {
    const x = event.clientX - this.picture.getBoundingClientRect().left - this.gutter;
    const index = Math.floor(x / this.column);
    return x < 0 || index >= this.total ? null : index;
  }

  show(index, chosen = true) {
    if (chosen && index !== null) {
      this.at = index;
      this.chosen = true;
      this.describe();
    }
    const machine = index === null ? undefined : this.fleet.picked[index];
    this.cursor.replaceChildren();
    if (index !== null && index < this.total) {
      const width = Math.max(this.column, 2);
      this.cursor.append(svg("rect", { x: index * this.column - 1, y: 0, width: width + 2, height: this.height - STRIP_GAP + 1 }));
    }
    if (machine !== undefined) this.says.textContent = this.fleet.say(machine);
    else this.says.textContent = index === null ? `${count(this.total, "machine")}, ${ORDERS[this.fleet.order].text}` : "a machine without a row";
  }

  describe() {
    const machine = this.fleet.picked[this.at];
    this.plot.setAttribute("aria-valuenow", String(this.at));
    this.plot.setAttribute("aria-valuetext", machine === undefined ? "no machine" : this.fleet.say(machine));
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.fleet.picked.length - 1;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (event.key in moves && last >= 0) this.show(Math.min(Math.max(this.at + moves[event.key], 0), last));
    else if ((event.key === "Enter" || event.key === " ") && last >= 0) this.onOpen(this.fleet.picked[this.at]);
    else return;
    event.preventDefault();
  }
}
