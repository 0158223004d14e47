// What of the map is in view, which frame is looked at, and in which layer.  Whoever draws listens.

const ANIMATION_MS = 260;
const ROOM_AROUND = 0.3; // of a place that is gone to, on either side

class View extends EventTarget {
  constructor(scale, top, layerCount) {
    super();
    this.scale = scale;
    this.top = top;
    this.layerCount = layerCount;
    this.low = 0;
    this.high = top;
    this.width = 800;
    this.fitted = true;
    this.frame = 0;
    this.layer = 0;
    this.cached = null;
  }

  get projection() {
    this.cached ??= this.scale.project(this.low, this.high, this.width, this.fitted);
    return this.cached;
  }

  get isWhole() {
    return this.low === 0 && this.high === this.top;
  }

  tell(kind, detail = null) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  set(low, high) {
    let span = Math.min(Math.max(high - low, 1), this.top);
    let start = low;
    if (high - low < 1) start = Math.floor((low + high) / 2);
    start = Math.min(Math.max(start, 0), this.top - span);
    if (span > this.top * 0.9999) {
      start = 0;
      span = this.top;
    }
    this.low = start;
    this.high = start + span;
    this.cached = null;
    this.tell("view");
  }

  resize(width) {
    this.width = Math.max(width, 50);
    this.cached = null;
  }

  setFitted(fitted) {
    this.fitted = fitted;
    this.cached = null;
    this.tell("view");
  }

  // Zoom by a factor (below 1: closer); what is at `x` stays there.  The wider side goes ahead, the other side
  // follows so far that the place keeps its part of the width.
  zoom(factor, x = this.width / 2) {
    this.stop();
    const before = this.projection;
    const anchor = before.pfn(x);
    const low = before.pfn(x - x * factor);
    const high = before.pfn(x + (this.width - x) * factor);
    if (low <= 0 && high >= this.top) this.set(0, this.top);
    else if (x < this.width / 2) this.set(high < this.top ? this.follow(anchor, x, high, -1) : low, high);
    else this.set(low, low > 0 ? this.follow(anchor, x, low, 1) : high);
  }

  // The end of a picture on one side (-1: left) of a place, with which the place comes to stand at `x`.
  follow(anchor, x, other, direction) {
    let near = 0;
    let far = direction < 0 ? anchor : this.top - anchor;
    for (let round = 0; round < 60; round += 1) {
      const middle = (near + far) / 2;
      const [low, high] = direction < 0 ? [anchor - middle, other] : [other, anchor + middle];
      const part = this.scale.partAt(anchor, low, high, this.fitted) * this.width;
      if (direction < 0 ? part < x : part > x) near = middle;
      else far = middle;
    }
    return anchor + direction * far;
  }

  move(dx) {
    const { projection } = this;
    const low = projection.pfn(dx);
    const high = projection.pfn(this.width + dx);
    const span = this.high - this.low;
    if (dx < 0 && low <= 0) this.set(0, Math.min(span, high));
    else if (dx > 0 && high >= this.top) this.set(Math.max(this.top - span, low), this.top);
    else this.set(low, high);
  }

  pan(dx) {
    this.stop();
    this.move(dx);
  }

  // Bring frames into view with some room around; `span` in frames asks for a certain width.
  reveal(pfn, pages, span = 0) {
    const wanted = Math.min(Math.max(span, pages * (1 + 2 * ROOM_AROUND), 1), this.top);
    const middle = pfn + pages / 2;
    this.show(middle - wanted / 2, middle + wanted / 2);
  }

  show(low, high) {
    const span = Math.min(high - low, this.top);
    const start = Math.min(Math.max(low, 0), this.top - span);
    this.stop();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.set(start, start + span);
    else this.animate(start, start + span);
  }

  stop() {
    cancelAnimationFrame(this.running);
  }

  // Each end comes nearer by the same factor in the same time, so that all sizes pass by at one speed.
  animate(low, high) {
    const from = [this.low, this.high];
    const wide = [Math.min(low, from[0]), Math.max(high, from[1])];
    const out = wide[1] - wide[0] > (from[1] - from[0]) * 1.01;
    const back = wide[1] - wide[0] > (high - low) * 1.01;
    const legs = [];
    if (out) legs.push(this.leg(from, wide, true));
    if (back || !out) legs.push(this.leg(wide, [low, high], false));
    const begin = performance.now();
    const step = (now) => {
      const time = Math.max(now - begin, 0) / ANIMATION_MS;
      const leg = legs[Math.min(Math.floor(time), legs.length - 1)];
      if (time >= legs.length) {
        this.set(low, high);
        this.tell("rest");
        return;
      }
      this.set(...leg(time - Math.floor(time)));
      this.running = requestAnimationFrame(step);
    };
    this.running = requestAnimationFrame(step);
  }

  leg(from, to, outwards) {
    const [narrow, wide] = outwards ? [from, to] : [to, from];
    const least = Math.max((narrow[1] - narrow[0]) * 0.02, 0.01);
    return (part) => {
      const inwards = outwards ? 1 - part : part;
      return [0, 1].map((end) => {
        const distance = wide[end] - narrow[end];
        if (Math.abs(distance) <= least) return narrow[end] + distance * (1 - inwards);
        return narrow[end] + distance * (least / Math.abs(distance)) ** inwards;
      });
    };
  }

  lookAt(frame, layer = this.layer) {
    this.frame = Math.min(Math.max(Math.floor(frame), 0), this.top - 1);
    this.layer = Math.min(Math.max(layer, 0), this.layerCount - 1);
    this.tell("frame");
  }

  keepInView() {
    const x = this.projection.x(this.frame);
    if (this.frame < this.low || this.frame >= this.high || x > this.width - 2) {
      const span = this.high - this.low;
      this.set(this.frame - span / 2, this.frame + span / 2);
    }
  }
}
