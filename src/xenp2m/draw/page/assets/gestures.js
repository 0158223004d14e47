// Wheel, pointers and keys on the address map.

const WHEEL_SPEED = 0.0016;
const KEY_ZOOM = 0.6;
const DRAG_FROM = 4; // pixels, below that it is a click
const LINE = 16; // pixels of a wheel that counts in lines

class Gestures {
  constructor(map, { onOpen }) {
    this.map = map;
    this.view = map.view;
    this.onOpen = onOpen;
    this.pointers = new Map();
    this.backTo = null;
    const { plot, small } = map;
    plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    plot.addEventListener("pointerdown", (event) => this.down(event));
    plot.addEventListener("pointermove", (event) => this.moved(event));
    plot.addEventListener("pointerup", (event) => this.up(event));
    plot.addEventListener("pointercancel", (event) => this.forget(event));
    plot.addEventListener("pointerleave", () => this.leave());
    plot.addEventListener("dblclick", (event) => this.view.zoom(0.2, this.x(event)));
    plot.addEventListener("keydown", (event) => this.key(event));
    small.addEventListener("pointerdown", (event) => this.smallTo(event));
    small.addEventListener("pointermove", (event) => event.buttons && this.smallTo(event));
  }

  x(event) {
    return event.clientX - this.map.picture.getBoundingClientRect().left - this.map.gutter;
  }

  y(event) {
    return event.clientY - this.map.picture.getBoundingClientRect().top;
  }

  // The wheel zooms; where everything is in view and one turns it on, the page scrolls as it always does.
  wheel(event) {
    const unit = event.deltaMode === 1 ? LINE : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.view.pan((event.deltaX || event.deltaY) * unit);
      return;
    }
    if (event.deltaY > 0 && this.view.isWhole) return;
    event.preventDefault();
    const speed = event.ctrlKey ? WHEEL_SPEED * 5 : WHEEL_SPEED;
    this.view.zoom(Math.exp(Math.max(-240, Math.min(event.deltaY * unit, 240)) * speed), this.x(event));
  }

  down(event) {
    if (event.button !== 0) return;
    this.map.plot.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: this.x(event), from: this.x(event) });
    this.dragged = this.pointers.size > 1;
  }

  moved(event) {
    const pointer = this.pointers.get(event.pointerId);
    const x = this.x(event);
    if (pointer === undefined) {
      this.hoverAt(x);
      return;
    }
    const before = [...this.pointers.values()].map((each) => each.x);
    const last = pointer.x;
    if (this.pointers.size === 1) {
      if (!this.dragged && Math.abs(x - pointer.from) < DRAG_FROM) return;
      this.dragged = true;
      this.map.plot.classList.add("dragging");
      this.view.pan(last - x);
    }
    pointer.x = x;
    if (this.pointers.size === 2) {
      const [one, two] = [...this.pointers.values()].map((each) => each.x);
      const wasApart = Math.max(Math.abs(before[0] - before[1]), 10);
      this.view.zoom(wasApart / Math.max(Math.abs(one - two), 10), (one + two) / 2);
    }
  }

  up(event) {
    const clicked = this.pointers.has(event.pointerId) && !this.dragged;
    this.forget(event);
    if (clicked) this.click(event);
  }

  forget(event) {
    this.pointers.delete(event.pointerId);
    this.map.plot.classList.remove("dragging");
  }

  leave() {
    this.map.hover = null;
    this.map.redrawSoon();
    this.view.tell("hover");
  }

  hoverAt(x) {
    const { view, map } = this;
    map.hover = x < 0 || x >= view.width ? null : Math.min(Math.floor(view.projection.pfn(x)), view.top - 1);
    map.redrawSoon();
    view.tell("hover");
  }

  click(event) {
    const { map, view } = this;
    const x = this.x(event);
    if (x < 0 || x > view.width) return;
    const y = this.y(event);
    const cluster = map.bars.length > 0 && y >= map.rows.bars && y < map.rows.bars + BAR_LANE ? this.clusterAt(x) : null;
    if (cluster !== null) {
      const first = cluster.bars[0].pfn;
      view.lookAt(first);
      view.reveal(first, Math.max(...cluster.bars.map((bar) => bar.end)) - first);
      view.tell("jump");
      return;
    }
    view.lookAt(view.projection.pfn(x), map.layerAtHeight(y) ?? view.layer);
    if (y >= map.rows.differences && y < map.rows.differences + STRIP) this.showDifference();
    view.tell("jump");
  }

  clusterAt(x) {
    return this.map.clusters.find((cluster) => x >= cluster.x - 8 && x <= cluster.end + 8) ?? null;
  }

  showDifference() {
    const { starts, ends } = this.map.differences;
    const index = indexAt(starts, this.view.frame);
    if (index >= 0 && this.view.frame < ends[index]) {
      this.view.reveal(starts[index], Math.min(ends[index], this.view.top) - starts[index]);
    }
  }

  smallTo(event) {
    const { map, view } = this;
    const x = event.clientX - map.small.getBoundingClientRect().left - map.gutter;
    const middle = map.smallScale.pfn(Math.min(Math.max(x, 0), view.width));
    const span = view.high - view.low;
    if (!view.isWhole) view.set(middle - span / 2, middle + span / 2);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const act = this.actionOf(event.key, event.shiftKey);
    if (act === null) return;
    event.preventDefault();
    act();
  }

  actionOf(key, shift) {
    const { view, map } = this;
    const go = (frame, layer = view.layer) => {
      view.lookAt(frame, layer);
      view.keepInView();
    };
    const last = () => map.layers[view.layer].bandAt(view.top - 1).first;
    const actions = {
      ArrowLeft: () => go(shift ? view.frame - 1 : map.nextRun(-1)),
      ArrowRight: () => go(shift ? view.frame + 1 : map.nextRun(1)),
      ArrowUp: () => go(view.frame, view.layer - 1),
      ArrowDown: () => go(view.frame, view.layer + 1),
      PageUp: () => view.pan(-view.width * 0.8),
      PageDown: () => view.pan(view.width * 0.8),
      Home: () => go(0),
      End: () => go(last()),
      "+": () => this.zoomAtFrame(KEY_ZOOM),
      "=": () => this.zoomAtFrame(KEY_ZOOM),
      "-": () => this.zoomAtFrame(1 / KEY_ZOOM),
      0: () => view.show(0, view.top),
      f: () => this.oneFrame(),
      F: () => this.oneFrame(),
      Enter: () => this.onOpen(),
      " ": () => this.onOpen(),
    };
    return actions[key] ?? null;
  }

  // Zooming by keys goes to the frame that is looked at, if it is in view.
  zoomAtFrame(factor) {
    const { view } = this;
    const x = view.projection.x(view.frame + 0.5);
    view.zoom(factor, x >= 0 && x <= view.width ? x : view.width / 2);
  }

  oneFrame() {
    const { view } = this;
    if (view.high - view.low <= 1.001 && this.backTo !== null) view.show(...this.backTo);
    else {
      this.backTo = [view.low, view.high];
      view.show(view.frame, view.frame + 1);
    }
  }
}
