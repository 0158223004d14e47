// The marks of the address axis: the roundest addresses near evenly spaced places, no two texts in each other.

const MARK_DISTANCE = 96;
const LETTER = 6.7; // the width of a letter of the axis
const TEXT_GAP = 10;

// [{pfn, x, text}] for the addresses in view.
function marksOf(projection) {
  const { low, high, width } = projection;
  const count = Math.max(Math.floor(width / MARK_DISTANCE), 2);
  const marks = [];
  let last = -Infinity;
  for (let index = 0; index <= count; index += 1) {
    const place = (index * width) / count;
    const from = Math.max(Math.ceil(projection.pfn(Math.max(place - MARK_DISTANCE * 0.45, 0))), Math.ceil(low));
    const to = Math.min(Math.floor(projection.pfn(Math.min(place + MARK_DISTANCE * 0.45, width))), Math.floor(high));
    if (to < from) continue;
    const pfn = roundest(from, to);
    const x = projection.x(pfn);
    const text = shortAddress(pfn);
    const half = (text.length * LETTER) / 2;
    const middle = Math.min(Math.max(x, half), width - half);
    if (x < 0 || x > width || middle - half < last + TEXT_GAP) continue;
    marks.push({ pfn, x, text, middle });
    last = middle + half;
  }
  return marks;
}

function drawRuler(projection, height) {
  const group = svg("g", { class: "ruler", "aria-hidden": "true" });
  for (const { x, text, middle } of marksOf(projection)) {
    group.append(
      svg("line", { x1: x, x2: x, y1: height - 6, y2: height }),
      svg("text", { x: middle, y: height - 10, "text-anchor": "middle" }, text),
    );
  }
  return group;
}
