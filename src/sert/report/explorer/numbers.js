// Numbers: percentiles, bins, exact tests, and how numbers are written. No page is touched here.
{
  const Z = 1.959963984540054; // of 95 %

  /** The finite numbers of a column, in order. */
  function sortedFinite(column) {
    return Float64Array.from(column.filter(Number.isFinite)).sort();
  }

  /** A percentile of sorted numbers, with linear interpolation, to the last bit as `numpy.percentile` finds it. */
  function percentile(sorted, percentage) {
    const place = (sorted.length - 1) * (percentage / 100);
    const before = Math.floor(place);
    if (before >= sorted.length - 1) return sorted[sorted.length - 1];
    const low = sorted[before];
    const high = sorted[before + 1];
    const weight = place - before;
    return weight >= 0.5 ? high - (high - low) * (1 - weight) : low + (high - low) * weight;
  }

  /** Edges of bins of one width, or of one ratio on a scale of logarithms; numbers above the last one belong to it. */
  function makeBins({ low, high, count, logarithmic = false }) {
    const [from, to] = logarithmic ? [Math.log(low), Math.log(high)] : [low, high];
    const width = (to - from) / count || 1;
    const scale = logarithmic ? Math.log : (value) => value;
    const edge = (place) => (logarithmic ? Math.exp(from + place * width) : from + place * width);
    const binOf = (value) => {
      const place = Math.floor((scale(value) - from) / width);
      return place < 0 ? 0 : place >= count ? count - 1 : place;
    };
    return { low, high, count, logarithmic, edge, binOf };
  }

  /** Count a column by bins, in each bin those that are kept apart; numbers that are not finite are counted apart. */
  function histogram(column, bins, isKept) {
    const kept = new Int32Array(bins.count);
    const others = new Int32Array(bins.count);
    let infinite = 0;
    for (let row = 0; row < column.length; row += 1) {
      if (!Number.isFinite(column[row])) infinite += 1;
      else (isKept(row) ? kept : others)[bins.binOf(column[row])] += 1;
    }
    return { kept, others, infinite };
  }

  /** The exact p of a paired test (McNemar's): how often a fair coin is as one-sided as these two counts, or more. */
  function exactPairedP(first, second) {
    const total = first + second;
    if (first === second) return 1;
    let logarithm = -total * Math.LN2; // of the chance of no success
    let tail = 0;
    for (let successes = 0; successes <= Math.min(first, second); successes += 1) {
      tail += Math.exp(logarithm);
      logarithm += Math.log(total - successes) - Math.log(successes + 1);
    }
    return Math.min(1, 2 * tail);
  }

  /** Wilson's 95 % interval of k of n. */
  function wilson(k, n) {
    const centre = (k + (Z * Z) / 2) / (n + Z * Z);
    const half = (Z / (n + Z * Z)) * Math.sqrt((k * (n - k)) / n + (Z * Z) / 4);
    return [k === 0 ? 0 : centre - half, k === n ? 1 : centre + half];
  }

  const grouped = new Intl.NumberFormat("en-US");

  /** A count, with commas between thousands. */
  const count = (number) => grouped.format(number);

  /** A share in percent with one digit behind the point, that of nothing as a dash. */
  const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

  /** A measure in at most so many significant digits, as the settings are written. */
  function short(number, digits = 3) {
    if (number === null || number === undefined) return "none";
    if (!Number.isFinite(number)) return number > 0 ? "infinite" : String(number);
    if (Number.isInteger(number) && Math.abs(number) < 1e6) return String(number);
    return String(Number(number.toPrecision(digits)));
  }

  /** A p value, never as zero. */
  const pValue = (p) => (p < 0.0001 ? "p < 0.0001" : `p = ${p.toFixed(p < 0.01 ? 4 : 3)}`);

  /** A number and what it counts, given in the plural. */
  function counted(number, what) {
    const one = what.endsWith("ies") ? `${what.slice(0, -3)}y` : what.replace(/s$/, "");
    return `${count(number)} ${number === 1 ? one : what}`;
  }

  sertExplorer.numbers = {
    sortedFinite,
    percentile,
    makeBins,
    histogram,
    exactPairedP,
    wilson,
    count,
    counted,
    percent,
    short,
    pValue,
  };
}
