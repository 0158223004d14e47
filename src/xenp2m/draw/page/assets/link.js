// The place that is looked at as the page's address: #pfn=0x...&layer=series&span=..., there and back.

const SETTLE_MS = 200;

class Link {
  // `start` shows what the page shows when its address names no place; `onFollow` hears of the frame that an
  // address names and the page has not, null where there is none.
  constructor(map, entries, { start, onFollow }) {
    this.map = map;
    this.start = start;
    this.onFollow = onFollow;
    this.entries = entries;
    this.following = false;
    const { view } = map;
    view.addEventListener("view", () => this.later());
    view.addEventListener("frame", () => this.later());
    view.addEventListener("jump", () => this.push());
    addEventListener("popstate", () => this.follow());
  }

  // Where one is, as the part of an address after "#".
  get text() {
    const { view, layers } = this.map;
    const parts = [`pfn=${hex(view.frame)}`];
    if (layers.length > 1) parts.push(`layer=${encodeURIComponent(layers[view.layer].name)}`);
    if (!view.isWhole) parts.push(`span=${hex(Math.round(view.high - view.low))}`, `from=${hex(Math.floor(view.low))}`);
    if (!view.fitted) parts.push("scale=linear");
    parts.push(`way=${MAPPERS[this.entries.mapper][0]}`);
    return `#${parts.join("&")}`;
  }

  later() {
    if (this.following) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => history.replaceState(null, "", this.text), SETTLE_MS);
  }

  // A step that the back button takes back: what is left behind is put down first.
  push() {
    clearTimeout(this.timer);
    if (location.hash !== this.text) history.pushState(null, "", this.text);
  }

  // Go to where the address says; to the start where it says nothing.  A part of the page is no place.
  follow() {
    clearTimeout(this.timer);
    this.following = true;
    const found = this.restore();
    if (!found && (location.hash === "" || !document.documentElement.classList.contains("ready"))) this.start();
    this.onFollow(found ? null : this.asked.get("pfn"));
    this.following = false;
  }

  get asked() {
    return new URLSearchParams(location.hash.slice(1));
  }

  restore() {
    const { view, layers } = this.map;
    const { asked } = this;
    const number = (name) => {
      const text = asked.get(name) ?? "";
      return /^(0x[0-9a-f]{1,13}|\d{1,15})$/i.test(text) ? Number(text) : null;
    };
    const pfn = number("pfn");
    if (pfn === null || pfn >= view.top) return false;
    const layer = layers.findIndex((each) => each.name === asked.get("layer"));
    const mapper = MAPPERS.findIndex(([name]) => name === asked.get("way"));
    if (mapper >= 0) this.entries.mapper = mapper;
    view.stop();
    view.setFitted(asked.get("scale") !== "linear");
    const span = Math.max(number("span") ?? view.top, 1);
    const from = number("from") ?? pfn - span / 2;
    if (from <= pfn && pfn < from + span) view.set(from, from + span);
    else view.set(pfn - span / 2, pfn + span / 2);
    view.lookAt(pfn, Math.max(layer, 0));
    return true;
  }
}
