// From frames to pixels, and back.
//
// The fitted scale gives every run that can be seen a width that can be seen, and for the rest the same room
// for each doubling of its size, as the axis on the terminal does: a hole of 4 KiB and a tail of 512 GiB are
// there at once.  The closer one looks, the more it turns into the true, linear scale; at a few frames it is.

const LEAST = 4; // the room of one frame, in doublings
const SOFT = 0.35; // of the room of a run, for a part of one that BARs cut
const LINEAR_BELOW = 5; // log2 of the span from which on the scale is linear
const FITTED_ABOVE = 14; // and from which on it is fitted
const FITTED_SHARE = 0.93; // the rest is true to size even then

class Scale {
  // `hard` and `soft` are frames at which something begins or ends: runs, and groups of BARs within them.
  constructor(hard, soft, end) {
    this.edges = Float64Array.from(new Set([0, end, ...hard, ...soft].filter((edge) => edge <= end))).sort();
    const known = new Set([0, end, ...hard]);
    this.weights = Float64Array.from(this.edges, (edge, index) =>
      known.has(edge) && known.has(this.edges[index + 1] ?? end) ? 1 : SOFT,
    );
    this.sums = new Float64Array(this.edges.length);
    for (let index = 1; index < this.edges.length; index += 1) {
      const pages = this.edges[index] - this.edges[index - 1];
      this.sums[index] = this.sums[index - 1] + this.roomAt(index - 1, pages);
    }
  }

  // The room of some pages of the run after an edge.
  roomAt(index, pages) {
    return this.weights[index] * (LEAST * Math.min(pages, 1) + Math.log2(1 + pages));
  }

  // The room of [low, high): parts of runs at both ends, whole runs in between.
  roomOf(low, high) {
    const first = indexAt(this.edges, low) + 1;
    const last = Math.min(indexAt(this.edges, high), this.edges.length - 1);
    if (last < first) return this.roomAt(first - 1, high - low);
    const within = this.sums[last] - this.sums[first];
    return this.roomAt(first - 1, this.edges[first] - low) + within + this.roomAt(last, high - this.edges[last]);
  }

  // Where a frame stands between the ends of a picture of [low, high), from 0 to 1.
  partAt(at, low, high, fitted) {
    const index = indexAt(this.edges, at);
    const start = Math.max(this.edges[index], low);
    const end = Math.min(this.edges[index + 1] ?? high, high);
    const share = Scale.share(high - low, fitted);
    const before = start > low ? this.roomOf(low, start) : 0;
    const room = before + (this.roomAt(index, end - start) * (at - start)) / (end - start || 1);
    return (share * room) / this.roomOf(low, high) + ((1 - share) * (at - low)) / (high - low);
  }

  static share(span, fitted) {
    if (!fitted) return 0;
    const step = (Math.log2(Math.max(span, 1)) - LINEAR_BELOW) / (FITTED_ABOVE - LINEAR_BELOW);
    const clamped = Math.min(Math.max(step, 0), 1);
    return FITTED_SHARE * clamped * clamped * (3 - 2 * clamped);
  }

  project(low, high, width, fitted) {
    return new Projection(this, low, high, width, fitted);
  }
}

class Projection {
  constructor(scale, low, high, width, fitted) {
    this.scale = scale;
    this.low = low;
    this.high = high;
    this.width = width;
    this.share = Scale.share(high - low, fitted);
    this.room = scale.roomOf(low, high);
    const before = Math.max(indexAt(scale.edges, low), 0);
    const inside = [];
    for (let index = before + 1; index < scale.edges.length; index += 1) {
      if (scale.edges[index] >= high) break;
      inside.push(scale.edges[index]);
    }
    this.bounds = Float64Array.from([low, ...inside, high]);
    this.xs = new Float64Array(this.bounds.length);
    for (let index = 1; index < this.xs.length; index += 1) {
      const pages = this.bounds[index] - this.bounds[index - 1];
      this.xs[index] = this.xs[index - 1] + this.widthOf(scale.roomAt(before + index - 1, pages), pages);
    }
  }

  widthOf(room, pages) {
    const fitted = (this.share * room) / this.room;
    const linear = ((1 - this.share) * pages) / (this.high - this.low);
    return this.width * (fitted + linear);
  }

  // The position of a frame (its left edge); left and right of the picture for one that is not in it.
  x(pfn) {
    if (pfn <= this.low) return pfn < this.low ? -1e4 : 0;
    if (pfn >= this.high) return pfn > this.high ? this.width + 1e4 : this.width;
    const index = indexAt(this.bounds, pfn);
    const part = (pfn - this.bounds[index]) / (this.bounds[index + 1] - this.bounds[index]);
    return this.xs[index] + part * (this.xs[index + 1] - this.xs[index]);
  }

  // The place at a position, as a frame and the part of it; outside of the picture the scale goes on.
  pfn(x) {
    if (x < 0) return this.outside(-x, -1);
    if (x > this.width) return this.outside(x - this.width, 1);
    const last = this.xs.length - 1;
    const index = Math.min(indexAt(this.xs, x), last - 1);
    const part = (x - this.xs[index]) / (this.xs[index + 1] - this.xs[index] || 1);
    return this.bounds[index] + part * (this.bounds[index + 1] - this.bounds[index]);
  }

  // How far one has to go past an end of the picture until what comes in is `distance` pixels wide.
  outside(distance, direction) {
    const { edges } = this.scale;
    const inside = direction < 0 ? this.low : this.high;
    let near = 0;
    let far = direction < 0 ? this.low - edges[0] : edges[edges.length - 1] - this.high;
    const wide = (pages) => {
      const low = direction < 0 ? this.low - pages : this.low;
      const high = direction < 0 ? this.high : this.high + pages;
      return this.widthOf(this.scale.roomOf(low, high) - this.room, pages);
    };
    if (wide(far) <= distance) return inside + direction * far;
    for (let round = 0; round < 60; round += 1) {
      const middle = (near + far) / 2;
      if (wide(middle) < distance) near = middle;
      else far = middle;
    }
    return inside + direction * far;
  }
}
