// The page of a report: puts the map, what it says of a frame, the search and the tables together.

const READOUT_MS = 60;

async function readPage(data) {
  const layers = await Promise.all(data.layers.map((raw, index) => Layer.read(raw, index)));
  return { layers, bars: readBars(data.bars), host: data.host, words: data.kinds, top: data.top, compared: data.compared };
}

// The frame that the page starts with: of a BAR that does not map, else of the first BAR, else the first of all.
function firstFrame(bars) {
  const bad = bars.find((bar) => bar.verdicts.some((verdict) => verdict !== null && verdict !== "maps"));
  return (bad ?? bars[0])?.pfn ?? 0;
}

// The way of mapping that shows most: the first that fails where another layer's works, else as it was.
function tellingWay(map, pfn) {
  for (const index of [2, 1, 0, 3, 4]) {
    const verdicts = map.layers.map((layer) => wayAt(layer, pfn, index)?.verdict);
    if (new Set(verdicts).size > 1) return index;
  }
  return 2;
}

function startTools(map) {
  const { view } = map;
  const tools = byId("tools");
  tools.hidden = false;
  const scale = tools.querySelector("[data-do=scale]");
  tools.addEventListener("click", (event) => {
    const asked = event.target.closest("button")?.dataset.do;
    if (asked === "in") view.zoom(0.5);
    if (asked === "out") view.zoom(2);
    if (asked === "all") view.show(0, view.top);
    if (asked === "scale") view.setFitted(!view.fitted);
  });
  view.addEventListener("view", () => {
    scale.setAttribute("aria-pressed", String(view.fitted));
    scale.textContent = view.fitted ? "Fitted" : "True to size";
  });
}

function startTables(goTo) {
  document.addEventListener("click", (event) => {
    const place = event.target.closest("[data-pfn]");
    if (place === null || event.target.closest("summary, button, input")) return;
    if (getSelection()?.toString()) return;
    event.preventDefault();
    const row = place.closest("tr");
    if (row !== null) markRow(row);
    goTo(Number(place.dataset.pfn), Number(place.dataset.pages));
    byId("map").scrollIntoView({ block: "nearest" });
    if (event.detail === 0) document.querySelector(".plot").focus();
  });
}

async function startReport() {
  const page = await readPage(pageData());
  const map = new AddressMap(byId("address-map"), page);
  const { view } = map;
  const readout = new Readout(byId("frame"), map, { onLayer: (layer) => view.lookAt(view.frame, layer) });
  const entries = new Entries(byId("entries"), map, { onMapper: () => view.lookAt(view.frame) });

  // A pointer passes over many frames; what is said follows at a pace that can be drawn.
  let waiting = null;
  const showHover = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      readout.show(map.hover ?? view.frame);
    }, READOUT_MS);
  };
  const showFrame = () => {
    readout.show(view.frame);
    entries.show(view.frame);
  };
  view.addEventListener("hover", showHover);
  view.addEventListener("frame", showFrame);

  const goTo = (pfn, pages) => {
    const top = Math.min(pfn, view.top - 1);
    view.reveal(top, Math.min(pages, view.top - top));
    view.lookAt(top);
    entries.mapper = tellingWay(map, top);
    showFrame();
    view.tell("jump");
  };
  const openEntries = () => {
    byId("entries-title").focus();
    byId("entries").scrollIntoView({ block: "nearest" });
  };
  new Gestures(map, { onOpen: openEntries });
  const search = new Search(map, { goTo });
  startTools(map);
  startTables(goTo);
  const start = () => {
    const first = firstFrame(page.bars);
    entries.mapper = tellingWay(map, first);
    view.set(0, view.top);
    view.lookAt(first, 0);
  };
  const onFollow = (lost) => (lost === null ? search.say("") : search.fail(`pfn:${lost}`));
  const link = new Link(map, entries, { start, onFollow });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea")) return;
    event.preventDefault();
    byId("search-text").focus();
  });
  link.follow();
  document.documentElement.classList.add("ready");
}

if (byId("address-map") !== null) startReport();
