// Frames, addresses and sizes: printed as the command line prints them, read as it reads them.
//
// Frame numbers are JavaScript numbers (they stay below 2^52); byte addresses are BigInts.

const PAGE_SHIFT = 12n;
const END_OF_FRAMES = 2 ** 40; // what the 52 address bits of a PTE can name
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const SUFFIXES = { "": 0n, K: 10n, M: 20n, G: 30n, T: 40n, P: 50n };

function hex(number) {
  return `0x${number.toString(16)}`;
}

function addressOf(pfn) {
  return hex(BigInt(pfn) << PAGE_SHIFT);
}

// "4 KiB", "1.5 GiB", "~2.12 GiB" where two decimals cannot say it exactly.
function sizeOf(pages) {
  const bytes = BigInt(pages) << PAGE_SHIFT;
  let unit = 0;
  while (unit < UNITS.length - 1 && bytes >> BigInt(10 * (unit + 1)) > 0n) unit += 1;
  const scale = 1n << BigInt(10 * unit);
  if (bytes % scale === 0n) return `${bytes / scale} ${UNITS[unit]}`;
  const text = (Number(bytes) / Number(scale)).toFixed(2).replace(/\.?0+$/, "");
  return `${(bytes * 100n) % scale === 0n ? "" : "~"}${text} ${UNITS[unit]}`;
}

// An address for an axis: "64G" where that is exact and short, else in hexadecimal.
function shortAddress(pfn) {
  const address = BigInt(pfn) << PAGE_SHIFT;
  if (address === 0n) return "0";
  for (const suffix of ["T", "G", "M"]) {
    const unit = 1n << SUFFIXES[suffix];
    if (address % unit === 0n && address / unit < 10000n) return `${address / unit}${suffix}`;
  }
  return hex(address);
}

// A number of bytes from "4096", "0x1000", "512M", "1.5G" or "4GiB"; null where the text is none.
function parseSize(text) {
  const match = /^(0x[0-9a-f]+|\d+(?:\.\d+)?)\s*([KMGTP]?)(?:iB|B)?$/i.exec(text.trim());
  if (match === null) return null;
  const shift = SUFFIXES[match[2].toUpperCase()];
  if (!match[1].includes(".")) return BigInt(match[1]) << shift;
  const [whole, fraction] = match[1].split(".");
  const scaled = BigInt(whole + fraction) << shift;
  const tens = 10n ** BigInt(fraction.length);
  return scaled % tens === 0n ? scaled / tens : null;
}

// The number with the most trailing zeros in [low, high]: the roundest place for a mark on an axis.
function roundest(low, high) {
  for (let step = 2 ** 52; step >= 1; step /= 2) {
    const found = Math.floor(high / step) * step;
    if (found >= low) return found;
  }
  return Math.floor(high);
}

// The index of the last element that is not above `value` in a sorted array; -1 where there is none.
function indexAt(sorted, value, length = sorted.length) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
