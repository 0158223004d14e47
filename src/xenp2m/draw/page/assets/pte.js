// Page table entries taken apart: what each way of mapping a frame writes under each layer, bit by bit.

const MAPPERS = [
  ["ioremap", "ioremap"],
  ["sysfs", "sysfs mmap"],
  ["io_remap_pfn_range", "io_remap_pfn_range"],
  ["dev_mem", "/dev/mem"],
  ["foreign", "foreign mapping"],
];
const VERDICT_WORDS = { maps: "maps", fails: "does not map", collides: "collides with guest memory", wrong: "maps wrongly" };
const LAST_LOW_FLAG = 11;
const PRESENT = 1n;

// The numbers that a template's places stand for, at one frame of one layer.
function placesOf(layer, pfn, mapper) {
  const frame = BigInt(pfn);
  const { word_mask: wordMask, cut_mask: cutMask, pfn_mask: pfnMask } = layer.layout;
  let number = frame & BigInt(wordMask);
  if (mapper === "ioremap") number &= BigInt(pfnMask) >> PAGE_SHIFT;
  const kept = number & (BigInt(pfnMask) >> PAGE_SHIFT);
  return { frame, number, kept, cut: number & BigInt(cutMask), mfn: layer.mfnAt(pfn) };
}

// An entry as a number; null where there is none, or where the machine frame in it is not known.
function entryOf(template, places) {
  if (template === null) return null;
  const [flags, name] = template;
  if (name === "") return BigInt(flags);
  return places[name] === null ? null : BigInt(flags) | (places[name] << PAGE_SHIFT);
}

function filledIn(text, numbers) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (numbers[name] === undefined || numbers[name] === null ? "?" : hex(numbers[name])));
}

// One way at one frame: {verdict, entry, protected, steps, only}.
function wayAt(layer, pfn, mapperIndex) {
  const ways = layer.waysAt(pfn);
  if (ways === null) return null;
  const way = ways[mapperIndex];
  const places = placesOf(layer, pfn, MAPPERS[mapperIndex][0]);
  const entry = entryOf(way.entry, places);
  const after = entryOf(way.protected, places);
  const numbers = { ...places, entry, protected: after };
  const steps = way.steps.map(([text, source]) => [filledIn(text, numbers), source]);
  return { verdict: way.verdict, entry, protected: after, steps, only: way.only ?? null };
}

function flagNames(layout, entry) {
  return entry & PRESENT ? layout.present : layout.absent;
}

// The fields of an entry, highest bit first: single flags, the frame as one, unused bits between as one.
function fieldsOf(entry, layout) {
  const mask = BigInt(layout.pfn_mask);
  const names = flagNames(layout, entry);
  const top = mask.toString(2).length - 1;
  const fields = [];
  const flag = (bit) => fields.push({ bits: `${bit}`, name: names[bit] ?? "", value: Number((entry >> BigInt(bit)) & 1n), bit });
  flag(63);
  const upper = [];
  for (let bit = 62; bit > top; bit -= 1) upper.push(bit);
  const anySet = upper.some((bit) => (entry >> BigInt(bit)) & 1n);
  if (anySet) upper.forEach(flag);
  else if (upper.length > 0) fields.push({ bits: `${upper[0]}–${top + 1}`, name: "unused", value: 0, bit: null, plain: true });
  fields.push({ bits: `${top}–${LAST_LOW_FLAG + 1}`, name: "frame", value: (entry & mask) >> PAGE_SHIFT, bit: null, frame: true });
  for (let bit = LAST_LOW_FLAG; bit >= 0; bit -= 1) flag(bit);
  return fields;
}

// A name that may be broken after each of some letter.
function brokenAt(letter, name) {
  return name.split(letter).flatMap((part, index, all) => (index < all.length - 1 ? [part + letter, html("wbr")] : [part]));
}

function drawFields(entry, layout, compared) {
  const list = html("ol", { class: "bits", "aria-label": `Bits of ${hex(entry)}` });
  const present = Boolean(entry & PRESENT);
  for (const field of fieldsOf(entry, layout)) {
    const differs = present && field.bit !== null && compared !== null && compared & PRESENT && ((entry ^ compared) >> BigInt(field.bit)) & 1n;
    const classes = ["bit"];
    if (field.frame) classes.push("bit-frame");
    if (field.plain) classes.push("bit-plain");
    if (field.bit !== null && field.value) classes.push("bit-set");
    if (differs) classes.push("bit-differs");
    const value = field.frame && present ? hex(field.value) : field.frame && field.value === 0n ? "none" : field.frame ? hex(field.value) : String(field.value);
    const name = field.frame ? (present ? "machine frame" : "not a frame: not present") : field.name;
    list.append(
      html(
        "li",
        { class: classes.join(" "), title: differs ? `${field.name}: not the same in the first layer` : field.name },
        html("span", { class: "bit-number" }, field.bits),
        html("span", { class: "bit-value" }, value),
        html("span", { class: "bit-name" }, ...brokenAt("_", name)),
      ),
    );
  }
  return list;
}

class Entries {
  constructor(section, map, { onMapper }) {
    this.section = section;
    this.map = map;
    this.mapper = 2;
    this.title = html("h3", { id: "entries-title", tabindex: "-1" }, "Page table entry");
    this.choices = html("div", { class: "ways", role: "group", "aria-label": "Way of mapping" });
    this.body = html("div", { class: "entries-body" });
    this.buttons = MAPPERS.map(([, label], index) => {
      const button = html("button", { type: "button" }, html("span", { class: "mark", "aria-hidden": "true" }), label);
      button.addEventListener("click", () => {
        this.mapper = index;
        onMapper();
      });
      return button;
    });
    this.choices.append(...this.buttons);
    section.replaceChildren(this.title, this.choices, this.body);
    section.hidden = false;
  }

  show(pfn) {
    this.title.textContent = `If a driver maps frame ${hex(pfn)}`;
    this.buttons.forEach((button, index) => this.markButton(button, pfn, index));
    const ways = this.map.layers.map((layer) => wayAt(layer, pfn, this.mapper));
    const first = ways[0]?.entry ?? null;
    this.body.replaceChildren(...this.map.layers.map((layer, index) => this.drawWay(layer, ways[index], index > 0 ? first : null)));
  }

  markButton(button, pfn, index) {
    const verdicts = this.map.layers.map((layer) => wayAt(layer, pfn, index)?.verdict ?? null).filter(Boolean);
    const state = verdicts.length === 0 ? "plain" : verdicts.every((verdict) => verdict === "maps") ? "good" : "bad";
    button.querySelector(".mark").className = `mark mark-${state}`;
    button.setAttribute("aria-pressed", String(index === this.mapper));
    button.title = verdicts.length === 0 ? "" : state === "good" ? "maps in every layer" : "does not map in every layer";
  }

  drawWay(layer, way, compared) {
    const heading = html("h4", {}, layer.name);
    if (!layer.predicted) heading.append(html("span", { class: "note" }, ` by the rules of ${layer.layout.rules}`));
    if (way === null) return html("article", { class: "way" }, heading, html("p", {}, "The map does not tell what this frame is."));
    const state = way.verdict === "maps" ? "good" : "bad";
    heading.append(
      html("span", { class: `verdict verdict-${state}` }, html("span", { class: `mark mark-${state}`, "aria-hidden": "true" }), VERDICT_WORDS[way.verdict]),
    );
    const parts = [heading];
    if (way.entry !== null) {
      parts.push(
        html("p", { class: "entry-value code" }, `0x${way.entry.toString(16).padStart(16, "0")}`),
        drawFields(way.entry, layer.layout, compared),
      );
    }
    if (way.only !== null) parts.push(html("p", { class: "note" }, `Shown for frame ${hex(way.only)}, the first of its class.`));
    parts.push(html("ol", { class: "steps" }, ...way.steps.map((step) => stepItem(step))));
    return html("article", { class: "way" }, ...parts);
  }
}
