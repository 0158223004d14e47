// What a frame is: its address, what the host has there, its BAR, and for each layer its kind and why.

const LONG_NAME = 14;

class Readout {
  constructor(section, map, { onLayer }) {
    this.section = section;
    this.map = map;
    this.onLayer = onLayer;
    this.title = html("h3", { id: "frame-title" });
    this.facts = html("dl", { class: "facts-of-frame" });
    this.body = html("tbody");
    this.steps = html("ol", { class: "steps" });
    this.stepsOf = html("summary", {});
    section.replaceChildren(
      this.title,
      this.facts,
      html("table", { class: "layers-of-frame" }, html("caption", { class: "hidden" }, "The frame in each layer"), this.body),
      html("details", { class: "why" }, this.stepsOf, this.steps),
    );
    section.hidden = false;
  }

  show(pfn) {
    const { map } = this;
    put(
      this.title,
      html("span", { class: "code" }, `frame ${hex(pfn)}`),
      html("span", { class: "at" }, ` at ${addressOf(pfn)}`),
      pfn > 0 ? html("span", { class: "at" }, ` ${sizeOf(pfn)}`) : null,
    );
    const bars = barsAt(map.bars, pfn);
    this.facts.replaceChildren(
      ...this.fact("E820", this.hostAt(pfn)),
      ...bars.slice(0, 3).flatMap((bar) => this.fact("BAR", `${bar.label}, ${bar.text}`)),
      ...(bars.length > 3 ? this.fact("", `and ${bars.length - 3} more BARs`) : []),
    );
    this.body.replaceChildren(...map.layers.map((layer) => this.row(layer, pfn)));
    const layer = map.layers[map.view.layer];
    this.stepsOf.textContent = `How ${layer.name} comes to it`;
    const [rule, ...before] = layer.whyAt(pfn);
    const steps = layer.predicted ? [...before, rule] : layer.whyAt(pfn);
    this.steps.replaceChildren(...steps.map((step) => stepItem(step)));
  }

  fact(name, text) {
    return text === "" ? [] : [html("dt", {}, name), html("dd", {}, text)];
  }

  hostAt(pfn) {
    const { host } = this.map;
    if (host.length === 0) return "";
    const texts = host.filter(([first, end]) => first <= pfn && pfn < end).map(([, , , text]) => text);
    if (texts.length > 0) return texts.join("; ");
    return pfn >= Math.max(...host.map(([, end]) => end)) ? "past the end of the E820 map" : "a hole in the E820 map";
  }

  row(layer, pfn) {
    const kind = layer.kindAt(pfn);
    const mfn = layer.mfnAt(pfn);
    const [rule, source] = layer.whyAt(pfn)[0] ?? ["", ""];
    const selected = layer.index === this.map.view.layer;
    const name = html("button", { type: "button", class: "layer-choice", "aria-pressed": String(selected) }, layer.name);
    name.addEventListener("click", () => this.onLayer(layer.index));
    return html(
      "tr",
      { class: selected ? "selected" : false },
      html("th", { scope: "row", class: layer.name.length > LONG_NAME ? "long" : false }, name),
      html(
        "td",
        { class: "kind" },
        html("span", { class: `swatch swatch-${KIND_CLASSES[kind]}`, "aria-hidden": "true" }),
        this.map.words[kind],
      ),
      html("td", { class: "code mfn" }, mfn === null ? this.withoutMfn(layer, kind) : `mfn ${hex(mfn)}`),
      html("td", { class: "rule" }, ...withSource(rule, source)),
    );
  }

  withoutMfn(layer, kind) {
    if (kind === MISSING || kind === UNTOLD) return "";
    if (!layer.whole) return html("span", { class: "unknown" }, "not in this page");
    return html("span", { class: "unknown" }, layer.predicted ? "only Xen knows" : "not known");
  }
}

function stepItem([text, source]) {
  return html("li", {}, ...withSource(text, source));
}

function withSource(text, source) {
  return source === "" ? [text] : [text, " ", html("cite", {}, source)];
}
