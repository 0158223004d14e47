// The page of a fleet: puts the strip, the charts, the list and the dialog of a machine together.

async function startFleet() {
  const fleet = await Fleet.read(pageData());
  const page = new MachinePage(fleet);
  const onOpen = (machine) => page.open(machine);
  new Strip(byId("strip"), fleet, { onOpen, says: byId("strip-says") });
  const charts = new Charts(byId("charts"), fleet, byId("places-says"));
  new List(fleet, { onOpen });
  new Filter(fleet);

  const order = byId("order");
  order.append(...Object.entries(ORDERS).map(([value, { text }]) => html("option", { value }, text)));
  order.addEventListener("input", () => fleet.sort(order.value));
  fleet.addEventListener("picked", () => {
    order.value = fleet.order;
  });
  byId("places-kernel").addEventListener("input", (event) => charts.setKernel(Number(event.target.value)));

  const used = new Set(fleet.data.kernels.flatMap(({ levels }) => levels.flatMap((machines, level) => (machines ? [level] : []))));
  byId("strip-legend").append(
    ...fleet.levels.flatMap(([, text], level) =>
      used.has(level) ? [html("li", {}, html("span", { class: `swatch level-swatch level-swatch-${LEVEL_CLASSES[level]}`, "aria-hidden": "true" }), level === BROKEN ? `${text} (the taller, the more of them)` : text)] : [],
    ),
  );

  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || page.dialog.open || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    byId("filter-words").focus();
  });
  const openLinked = () => {
    const name = linkOf(/^#machine=(.+)$/.exec(location.hash)?.[1] ?? "");
    const machine = fleet.machines.find((each) => each.name === name);
    if (machine !== undefined) page.open(machine);
  };
  addEventListener("hashchange", openLinked);
  openLinked();
  document.documentElement.classList.add("ready");
}

function linkOf(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null; // no percent sign of ours
  }
}

startFleet();
