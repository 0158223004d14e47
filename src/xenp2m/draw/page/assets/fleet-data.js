// The fleet of the page: its machines as objects, which of them are picked and in which order, their details.

const NO_PREDICTION = 8;
const BROKEN = 4; // the level from which on BARs do not map

// "192 GiB", "2.12 TiB": three digits, for comparing by eye.
function roundedSize(bytes) {
  if (bytes === 0) return "";
  let unit = 0;
  let value = Number(bytes);
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toPrecision(3))} ${UNITS[unit]}`;
}

function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

class Fleet extends EventTarget {
  static async read(data) {
    const fleet = new Fleet();
    fleet.data = data;
    fleet.kernels = data.kernels.map((kernel) => kernel.name);
    fleet.levels = data.levels;
    const columns = await unpacked(data.columns);
    fleet.machines = columns.name.map((name, rank) => {
      const machine = { rank };
      for (const [field, values] of Object.entries(columns)) machine[field] = values[rank];
      machine.title = machine.product || machine.name;
      machine.levels = [...machine.levels].map(Number);
      machine.text = `${machine.name} ${machine.product} ${machine.source}`.toLowerCase();
      return machine;
    });
    fleet.filter = { words: [], kernel: null, level: null, code: null, ram: null, bin: null };
    fleet.order = "rank";
    fleet.ascending = true;
    fleet.chunks = new Map();
    fleet.pick();
    return fleet;
  }

  // Whether everything is shown as the page came: then the machines without a row belong to the picture too.
  get isWhole() {
    const { words, level, code, ram, bin } = this.filter;
    return words.length === 0 && [level, code, ram, bin].every((value) => value === null) && this.order === "rank" && this.ascending;
  }

  pick() {
    const { words, kernel, level, code, ram, bin } = this.filter;
    const kernels = kernel === null ? this.kernels.map((_, index) => index) : [kernel];
    const mask = kernels.reduce((bits, index) => bits | (1 << index), 0);
    const has = (machine, wanted) => kernels.some((index) => levelFits(machine.levels[index], wanted));
    this.picked = this.machines.filter(
      (machine) =>
        words.every((word) => machine.text.includes(word)) &&
        (level === null || has(machine, level)) &&
        (code === null || machine.codes.some(([own, bits]) => own === code && bits & mask)) &&
        (ram === null || Math.floor(Math.log2(Math.max(Number(machine.ram_end), 1))) === ram) &&
        (bin === null || machine.bins.includes(bin)),
    );
    const value = ORDERS[this.order].value;
    const sign = this.ascending ? 1 : -1;
    this.picked.sort((one, two) => sign * compared(value(one), value(two)) || one.rank - two.rank);
    this.dispatchEvent(new Event("picked"));
  }

  set(changes) {
    Object.assign(this.filter, changes);
    this.pick();
  }

  sort(order, ascending = ORDERS[order].ascending) {
    this.order = order;
    this.ascending = ascending;
    this.pick();
  }

  hasDetails(machine) {
    return machine.rank < this.data.detailed;
  }

  // The BARs, maps and findings of a machine, unpacked when they are first asked for.
  async detailsOf(machine) {
    const chunk = Math.floor(machine.rank / this.data.chunk);
    if (!this.chunks.has(chunk)) this.chunks.set(chunk, unpacked(this.data.details[chunk]));
    return (await this.chunks.get(chunk))[machine.rank % this.data.chunk];
  }

  // What a machine is under a kernel, in words.
  sayLevel(machine, kernel) {
    const level = machine.levels[kernel];
    if (level === BROKEN) return `${machine.bad[kernel]} of ${count(machine.bars, "BAR")} do not map`;
    return this.levels[level][1];
  }

  say(machine) {
    return [machine.title, ...this.kernels.map((name, index) => `${name}: ${this.sayLevel(machine, index)}`)].join(", ");
  }
}

// `wanted` is a level, or "bad" for every level from which on something breaks.
function levelFits(level, wanted) {
  return wanted === "bad" ? level >= BROKEN && level < NO_PREDICTION : level === wanted;
}

function compared(one, two) {
  if (typeof one === "string") return one.localeCompare(two, "en", { numeric: true, sensitivity: "base" });
  return one - two;
}

const ORDERS = {
  rank: { text: "worst first", value: (machine) => machine.rank, ascending: true },
  title: { text: "name", value: (machine) => machine.title, ascending: true },
  ram: { text: "most RAM", value: (machine) => Number(machine.ram), ascending: false },
  ram_end: { text: "highest end of RAM", value: (machine) => Number(machine.ram_end), ascending: false },
  map_end: { text: "highest end of the map", value: (machine) => Number(machine.map_end), ascending: false },
  bars: { text: "most BARs", value: (machine) => machine.bars, ascending: false },
  past: { text: "most BARs past the map", value: (machine) => machine.past, ascending: false },
  bars_end: { text: "highest BAR", value: (machine) => Number(machine.bars_end), ascending: false },
};
