// The list of the picked machines, its filter and what is picked elsewhere.

const ROWS = 50;
const LEVEL_MARKS = ["good", "plain", "warn", "warn", "bad", "bad", "bad", "bad", "plain"];
const LIST_COLUMNS = [
  ["title", "Machine", null],
  ["bars", "BARs", (machine) => machine.bars || ""],
  ["past", "past the map", (machine) => machine.past || ""],
  ["bars_end", "Highest BAR", (machine) => roundedSize(machine.bars_end)],
  ["map_end", "Map ends", (machine) => roundedSize(machine.map_end)],
  ["ram_end", "RAM ends", (machine) => roundedSize(machine.ram_end)],
  ["ram", "RAM", (machine) => roundedSize(machine.ram)],
];

class List {
  constructor(fleet, { onOpen }) {
    this.fleet = fleet;
    this.onOpen = onOpen;
    this.rows = ROWS;
    this.table = byId("list");
    this.body = html("tbody");
    this.heads = new Map();
    this.table.append(html("caption", { class: "hidden" }, "Machines"), html("thead", {}, html("tr", {}, ...this.headings())), this.body);
    this.more = byId("more");
    this.more.addEventListener("click", () => {
      const first = this.rows;
      this.rows += 10 * ROWS;
      this.draw();
      this.body.rows[first]?.querySelector("button").focus();
    });
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row !== null && !getSelection()?.toString()) this.onOpen(fleet.picked[row.sectionRowIndex]);
    });
    fleet.addEventListener("picked", () => {
      this.rows = ROWS;
      this.draw();
    });
    this.draw();
  }

  headings() {
    const sorted = LIST_COLUMNS.map(([field, text]) => {
      const button = html("button", { type: "button", class: "sort" }, text);
      const head = html("th", { scope: "col", class: field === "title" ? false : "number" }, button);
      button.addEventListener("click", () => {
        const again = this.fleet.order === field;
        this.fleet.sort(field, again ? !this.fleet.ascending : ORDERS[field].ascending);
      });
      this.heads.set(field, head);
      return head;
    });
    return [sorted[0], ...this.fleet.kernels.map((name) => html("th", { scope: "col" }, name)), ...sorted.slice(1)];
  }

  draw() {
    const { picked, order, ascending } = this.fleet;
    for (const [field, head] of this.heads) {
      if (field === order) head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    this.body.replaceChildren(...picked.slice(0, this.rows).map((machine) => this.row(machine)));
    const left = picked.length - this.rows;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show ${Math.min(left, 10 * ROWS)} more of ${left}`;
  }

  row(machine) {
    const open = html("button", { type: "button", class: "open" }, machine.title);
    const name = machine.title === machine.name ? null : html("span", { class: "note code" }, machine.name);
    const kernels = this.fleet.kernels.map((_, index) => html("td", { class: "level-cell" }, ...levelCell(machine, index)));
    return html(
      "tr",
      {},
      html("th", { scope: "row" }, open, name),
      ...kernels,
      ...LIST_COLUMNS.slice(1).map(([, , text]) => html("td", { class: "number" }, text(machine))),
    );
  }
}

const SHORT_LEVELS = ["all map", "no BARs", "warnings", "errors", "", "collide", "map wrongly", "does not boot", "no prediction"];

function levelCell(machine, kernel) {
  const level = machine.levels[kernel];
  const mark = html("span", { class: `mark mark-${LEVEL_MARKS[level]}`, "aria-hidden": "true" });
  if (level === BROKEN) return [mark, html("span", { class: "verdict-bad" }, `${machine.bad[kernel]} of ${machine.bars} fail`)];
  return [mark, SHORT_LEVELS[level]];
}

class Filter {
  constructor(fleet) {
    this.fleet = fleet;
    this.words = byId("filter-words");
    this.kernel = byId("filter-kernel");
    this.level = byId("filter-level");
    this.says = byId("filter-says");
    this.chips = byId("chips");
    const used = new Set(fleet.data.kernels.flatMap(({ levels }) => levels.flatMap((machines, level) => (machines ? [level] : []))));
    this.level.append(html("option", { value: "bad" }, "breaks"));
    fleet.levels.forEach(([, text], level) => used.has(level) && this.level.append(html("option", { value: level }, `has: ${text}`)));
    byId("filter").addEventListener("submit", (event) => event.preventDefault());
    for (const input of [this.words, this.kernel, this.level]) input.addEventListener("input", () => this.changed());
    for (const button of document.querySelectorAll("[data-code]")) {
      button.addEventListener("click", () => {
        const code = Number(button.dataset.code);
        fleet.set({ code: fleet.filter.code === code ? null : code });
      });
    }
    fleet.addEventListener("picked", () => this.show());
    this.show();
  }

  changed() {
    const level = this.level.value;
    this.fleet.set({
      words: this.words.value.toLowerCase().split(/\s+/).filter(Boolean),
      kernel: this.kernel.value === "" ? null : Number(this.kernel.value),
      level: level === "" || level === "bad" ? level || null : Number(level),
    });
  }

  show() {
    const { filter, picked, machines, data } = this.fleet;
    this.says.textContent = `${picked.length.toLocaleString("en")} of ${count(machines.length, "machine")}${data.machines > machines.length ? " that are listed" : ""}`;
    for (const button of document.querySelectorAll("[data-code]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.code) === filter.code));
    }
    const chips = [];
    if (filter.code !== null) chips.push(this.chip(`raises ${data.findings[filter.code][0]}`, { code: null }));
    if (filter.ram !== null) chips.push(this.chip(`RAM ends from ${doublings(filter.ram)} to ${doublings(filter.ram + 1)}`, { ram: null }));
    if (filter.bin !== null) {
      const [place, size] = data.places[filter.bin];
      chips.push(this.chip(`has a BAR of ${doublings(size)} at ${roundedSize(2 ** (place / 2))}`, { bin: null }));
    }
    this.chips.replaceChildren(...chips);
    this.chips.hidden = chips.length === 0;
  }

  chip(text, without) {
    const button = html("button", { type: "button" }, text, html("span", { "aria-hidden": "true" }, " ×"), html("span", { class: "hidden" }, ", no longer"));
    button.addEventListener("click", () => {
      this.fleet.set(without);
      this.words.focus();
    });
    return html("li", {}, button);
  }
}
