// The search: an address, a frame, a PCI function or BAR, the code of a finding.

const SEARCH_HINT = "an address (0x21fff000000, 64G), a frame (pfn:0x100), a BAR (82:00.0, 82:00.0/2) or a finding (XP103)";
const LONGEST_SAID = 40;
const BDF = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?:\/(\d+))?$/i;

class Search {
  constructor(map, { goTo }) {
    this.map = map;
    this.goTo = goTo;
    this.form = byId("search");
    this.text = byId("search-text");
    this.answer = byId("search-answer");
    this.form.hidden = false;
    this.last = { text: "", index: 0 };
    const known = new Set([...map.bars.map((bar) => bar.bdf), ...this.rows().map((row) => row.dataset.code)]);
    byId("search-known").append(...[...known].slice(0, 200).map((value) => html("option", { value })));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.find(this.text.value);
    });
  }

  rows() {
    return [...document.querySelectorAll("tr[data-code]")];
  }

  find(text) {
    const asked = text.trim();
    const places = this.placesOf(asked);
    if (places.length === 0) {
      if (asked === "") this.say("");
      else this.fail(asked);
      return;
    }
    const again = asked === this.last.text ? (this.last.index + 1) % places.length : 0;
    this.last = { text: asked, index: again };
    const { pfn, pages, name, row } = places[again];
    this.say(places.length > 1 ? `${name}: ${again + 1} of ${places.length}, Enter for the next` : name);
    if (row !== undefined) markRow(row);
    if (pfn !== null) this.goTo(pfn, pages);
  }

  say(text, failed = false) {
    this.form.classList.toggle("failed", failed);
    this.answer.textContent = text;
  }

  fail(asked) {
    this.say(this.failure(asked), true);
  }

  failure(asked) {
    if (BDF.test(asked)) return "No such BAR here.";
    if (/^XP\d+$/i.test(asked)) return "No such finding here.";
    const what = asked.length > LONGEST_SAID ? `${asked.slice(0, LONGEST_SAID)}…` : asked;
    const pfn = this.frameOf(asked);
    if (pfn !== null && !this.has(pfn)) return `Not here: ${what}. This page ends at ${sizeOf(this.map.view.top)}.`;
    return `Not found: ${what}. Ask for ${SEARCH_HINT}.`;
  }

  // The frame that is asked for by its number or its address, wherever it is; null for anything else.
  frameOf(asked) {
    const frame = /^(?:pfn|frame)[:\s]\s*(.+)$/i.exec(asked);
    const value = parseSize(frame === null ? asked : frame[1]);
    return frame === null && value !== null ? value >> PAGE_SHIFT : value;
  }

  has(pfn) {
    return pfn < BigInt(this.map.view.top);
  }

  // [{pfn, pages, name, row?}] for what is asked; pfn null for a finding without a place.
  placesOf(asked) {
    const bdf = BDF.exec(asked);
    if (bdf !== null) return this.barsOf(bdf);
    if (/^[A-Z]{2}\d+$/i.test(asked)) return this.findingsOf(asked.toUpperCase());
    const pfn = this.frameOf(asked);
    if (pfn === null || !this.has(pfn)) return [];
    return [{ pfn: Number(pfn), pages: 1, name: `frame ${hex(pfn)}` }];
  }

  barsOf([, domain, rest, index]) {
    const bdf = `${domain ?? "0000"}:${rest}`.toLowerCase();
    const found = this.map.bars.filter((bar) => bar.bdf === bdf && (index === undefined || bar.label === `${bdf}/${index}`));
    return found.map((bar) => ({ pfn: bar.pfn, pages: bar.end - bar.pfn, name: `${bar.label}, ${bar.text}` }));
  }

  findingsOf(code) {
    return this.rows()
      .filter((row) => row.dataset.code === code)
      .map((row) => ({
        pfn: row.dataset.pfn === undefined ? null : Number(row.dataset.pfn),
        pages: Number(row.dataset.pages ?? 1),
        name: code,
        row,
      }));
  }
}

function markRow(row) {
  for (const marked of document.querySelectorAll("tr.marked")) marked.classList.remove("marked");
  row.classList.add("marked");
}
