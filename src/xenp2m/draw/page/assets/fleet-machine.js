// One machine of the fleet: its map under every kernel, its BARs and its findings, in a dialog.

const LEAST_TOP = 2 ** 32; // frames: 16 TiB

class MachinePage {
  constructor(fleet) {
    this.fleet = fleet;
    this.dialog = byId("machine");
    this.title = byId("machine-title");
    this.body = byId("machine-body");
    this.before = byId("machine-before");
    this.after = byId("machine-after");
    this.before.addEventListener("click", () => this.step(-1));
    this.after.addEventListener("click", () => this.step(1));
    byId("machine-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => {
      this.machine = null;
      this.body.replaceChildren();
      history.replaceState(null, "", location.pathname + location.search);
    });
  }

  async open(machine) {
    this.machine = machine;
    this.title.textContent = machine.title;
    const place = this.fleet.picked.indexOf(machine);
    this.before.disabled = place <= 0;
    this.after.disabled = place < 0 || place === this.fleet.picked.length - 1;
    if (!this.dialog.open) this.dialog.showModal();
    this.title.focus();
    this.dialog.scrollTop = 0;
    history.replaceState(null, "", `#machine=${encodeURIComponent(machine.name)}`);
    const details = this.fleet.hasDetails(machine) ? await this.fleet.detailsOf(machine) : null;
    if (this.machine !== machine) return;
    this.body.replaceChildren(this.facts(machine), this.answers(machine));
    if (details === null) this.body.append(html("p", {}, "Its BARs, maps and findings are not in this page; ", html("code", {}, `xenp2m fleet show ${machine.name}`), " tells them."));
    else await this.showDetails(machine, details);
    this.body.classList.add("ready");
  }

  step(direction) {
    const next = this.fleet.picked[this.fleet.picked.indexOf(this.machine) + direction];
    if (next !== undefined) this.open(next);
  }

  facts(machine) {
    const facts = [
      machine.title === machine.name ? "" : machine.name,
      `map: ${machine.source}`,
      `${roundedSize(machine.ram)} RAM up to ${roundedSize(machine.ram_end)}`,
      `map ends at ${roundedSize(machine.map_end)}`,
      machine.bars ? `${count(machine.bars, "BAR")} up to ${roundedSize(machine.bars_end)}` : "no BARs known",
      machine.past ? `${machine.past} past the map` : "",
    ];
    return html("p", { class: "facts" }, ...facts.filter(Boolean).map((fact) => html("span", {}, fact)));
  }

  answers(machine) {
    const rows = this.fleet.kernels.map((name, index) =>
      html("li", {}, html("b", {}, name), " ", ...levelCell(machine, index)),
    );
    return html("ul", { class: "machine-answers" }, ...rows);
  }

  async showDetails(machine, details) {
    const layers = await this.layers(details);
    const bars = readBars(details.bars.map((row) => this.barForMap(row)));
    const root = html("div", { class: "address-map" });
    const says = html("p", { class: "strip-says", "aria-live": "polite" });
    this.body.append(html("h3", {}, "Map"), root, says);
    const ends = [LEAST_TOP, ...layers.map((layer) => layer.end), ...bars.map((bar) => bar.end), ...details.host.map(([, end]) => end)];
    const top = Math.min(2 ** Math.ceil(Math.log2(Math.max(...ends))), END_OF_FRAMES);
    const host = details.host.map(([first, end, kind]) => [first, end, kind === 0 ? "ram" : "other", ""]);
    const map = new AddressMap(root, { layers, bars, host, words: this.fleet.data.kinds, top, compared: true });
    new Gestures(map, { onOpen: () => {} });
    map.view.addEventListener("frame", () => {
      says.textContent = map.sayFrame(map.view.frame);
    });
    const first = bars.find((bar) => bar.verdicts.some((verdict) => verdict !== null && verdict !== "maps"));
    map.view.lookAt(first?.pfn ?? 0, 0, false);
    this.body.append(...this.findings(details), ...this.bars(details), ...this.commands(machine, details));
  }

  layers({ runs }) {
    const known = runs.flatMap((row, index) => (row === null ? [] : [[row, index]]));
    const read = known.map(([[beyond, pages, kinds], kernel], index) =>
      Layer.read(
        {
          name: this.fleet.kernels[kernel],
          end: pages.reduce((sum, each) => sum + each, 0),
          beyond,
          whole: false,
          predicted: true,
          layout: null,
          untold: [],
          zones: [],
          wrap: Infinity,
          ways: null,
          runs: { pages, kinds, mfns: null },
        },
        index,
      ),
    );
    this.shown = known.map(([, kernel]) => kernel);
    return Promise.all(read);
  }

  barForMap([bdf, index, start, size, outcomes]) {
    const pfn = Number(BigInt(start) >> PAGE_SHIFT);
    const end = Number((BigInt(start) + BigInt(size) + 4095n) >> PAGE_SHIFT);
    const verdicts = this.shown.map((kernel) => (outcomes[kernel] === null ? null : this.fleet.data.outcomes[outcomes[kernel]][0]));
    return [barName(bdf, index), bdf, pfn, Math.max(end - pfn, 1), `${roundedSize(size)} at ${hex(BigInt(start))}`, verdicts];
  }

  findings({ findings }) {
    const title = html("h3", {}, "Findings");
    if (findings.length === 0) return [title, html("p", {}, "None.")];
    const rows = findings.map(([number, kernels, places, some, message]) => {
      const [code, severity, what] = this.fleet.data.findings[number];
      const more = places - some.length;
      return html(
        "tr",
        { class: `severity-${severity}` },
        html("th", { scope: "row", class: "code" }, code),
        html("td", { class: "word" }, severity),
        html("td", {}, what, html("span", { class: "note" }, message)),
        html("td", { class: "code" }, some.join(", "), more > 0 ? ` and ${more} more` : ""),
        ...this.fleet.kernels.map((_, index) => html("td", {}, kernels & (1 << index) ? "yes" : html("span", { class: "dim" }, "·"))),
      );
    });
    return [title, table("Findings", ["Code", "Severity", "What", "Where", ...this.fleet.kernels], rows)];
  }

  bars({ bars }) {
    if (bars.length === 0) return [];
    const rows = bars.map(([bdf, index, start, size, outcomes], at) =>
      html(
        "tr",
        {},
        html("th", { scope: "row", class: "code" }, barName(bdf, index)),
        html("td", { class: "number code" }, hex(BigInt(start))),
        html("td", { class: "number" }, roundedSize(size)),
        ...outcomes.map((outcome, kernel) => html("td", {}, ...this.outcome(outcome, bars[at - 1]?.[4][kernel]))),
      ),
    );
    return [html("h3", {}, "BARs"), table("BARs", ["BAR", "Address", "Size", ...this.fleet.kernels], rows, [1, 2])];
  }

  // The rule is told where it is another than that of the BAR above.
  outcome(number, above) {
    if (number === null) return ["no prediction"];
    const [verdict, rule, failing] = this.fleet.data.outcomes[number];
    const good = verdict === "maps";
    const mark = html("span", { class: `mark mark-${good ? "good" : "bad"}`, "aria-hidden": "true" });
    const words = { maps: "maps", fails: "does not map", collides: "collides with guest memory", wrong: "maps wrongly" };
    return [
      html("span", { class: `verdict verdict-${good ? "good" : "bad"}` }, mark, words[verdict]),
      good || number === above ? null : html("span", { class: "note" }, `by ${failing.join(", ")}`),
      number === above ? null : html("span", { class: "note" }, rule),
    ].filter((part) => part !== null);
  }

  commands(machine, { source, notes, bars }) {
    const broken = bars.find(([, , , , outcomes]) => outcomes.some((outcome) => outcome !== null && this.fleet.data.outcomes[outcome][0] !== "maps"));
    const kernels = this.fleet.kernels.map((name) => `--kernel ${name}`).join(" ");
    const quoted = /^[\w:./@+-]+$/.test(source) ? source : `'${source.replaceAll("'", "'\\''")}'`;
    const lines = [`xenp2m predict ${quoted} ${kernels}`];
    if (broken !== undefined) lines.push(`xenp2m explain ${quoted} ${hex(BigInt(broken[2]))} ${kernels}`);
    const parts = [];
    if (!/, line \d+$/.test(source)) parts.push(html("h3", {}, "On the command line"), html("pre", { class: "commands", tabindex: "0", role: "region", "aria-label": "Commands" }, lines.join("\n")));
    if (notes.length > 0) parts.push(html("h3", {}, "Notes"), html("ul", { class: "remarks" }, ...notes.map((note) => html("li", {}, note))));
    return parts;
  }
}

function barName(bdf, index) {
  return `${bdf}/${index ?? "?"}`;
}

function table(label, headings, rows, numbers = []) {
  return html(
    "div",
    { class: "scrolled", role: "region", "aria-label": label, tabindex: "0" },
    html(
      "table",
      {},
      html("thead", {}, html("tr", {}, ...headings.map((text, index) => html("th", { scope: "col", class: numbers.includes(index) ? "number" : false }, text)))),
      html("tbody", {}, ...rows),
    ),
  );
}
