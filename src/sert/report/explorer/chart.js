// A histogram of one measure with the limit of its rule in it.
{
  const { element, drawn } = sertExplorer.dom;
  const { makeBins, sortedFinite, percentile, short, counted } = sertExplorer.numbers;
  const { KEPT } = sertExplorer.rules;
  const [WIDTH, HEIGHT, BINS] = [320, 64, 48];
  const INFINITE = 255;
  const binned = new WeakMap();

  /** Bins of a column, and the bin of each path; made once a column. Bins end where nearly all numbers do. */
  function binsOf(column, { logarithmic, whole }) {
    if (!binned.has(column)) binned.set(column, makeBinned(column, { logarithmic, whole }));
    return binned.get(column);
  }

  function makeBinned(column, { logarithmic, whole }) {
    const sorted = sortedFinite(column);
    const places = new Uint8Array(column.length).fill(INFINITE);
    if (!sorted.length) return { bins: null, places, sorted };
    const [low, high] = [logarithmic ? Math.max(sorted[0], 1) : 0, percentile(sorted, 99.5)];
    const top = Math.max(high, logarithmic ? low * 1.1 : low + (whole ? 1 : 0.01));
    const size = whole ? Math.min(BINS, Math.ceil(top - low + 1)) : BINS;
    const bins = makeBins({
      low,
      high: whole ? low + size * Math.ceil((top - low + 1) / size) : top,
      count: size,
      logarithmic,
    });
    for (let row = 0; row < column.length; row += 1) {
      if (Number.isFinite(column[row])) places[row] = bins.binOf(column[row]);
    }
    return { bins, places, sorted };
  }

  function count({ bins, places }, reasons) {
    const [kept, all] = [new Int32Array(bins.count), new Int32Array(bins.count)];
    let infinite = 0;
    for (let row = 0; row < places.length; row += 1) {
      const place = places[row];
      if (place === INFINITE) infinite += 1;
      else {
        all[place] += 1;
        if (reasons[row] === KEPT) kept[place] += 1;
      }
    }
    return { kept, all, infinite };
  }

  class Chart {
    /** `name` is what is measured; `logarithmic` and `whole` say how its bins are laid. */
    constructor({ name, logarithmic = false, whole = false }) {
      Object.assign(this, { name, logarithmic, whole });
      this.all = drawn("path", { class: "others" });
      this.kept = drawn("path", { class: "kept" });
      this.limits = drawn("path", { class: "limit" });
      this.picture = drawn(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name },
        this.all,
        this.kept,
        this.limits,
      );
      this.ends = element("p", { class: "ends", "aria-hidden": "true" });
      this.element = element("div", { class: "chart" }, this.picture, this.ends);
    }

    /** Draw the paths of a column by bins, the kept ones among them, and the limits. */
    show(column, reasons, limits) {
      const found = binsOf(column, this);
      this.picture.toggleAttribute("hidden", !found.bins);
      if (!found.bins) {
        this.ends.textContent = "no finite number to show";
        return;
      }
      const { kept, all, infinite } = count(found, reasons);
      const highest = Math.max(...all, 1);
      this.all.setAttribute("d", bars(all, highest));
      this.kept.setAttribute("d", bars(kept, highest));
      const lines = limits
        .filter((limit) => limit !== null && Number.isFinite(limit))
        .map((limit) => this.place(found.bins, limit));
      this.limits.setAttribute("d", lines.map((x) => `M${x} 0V${HEIGHT}`).join(""));
      this.tell(found, infinite, limits);
    }

    tell({ bins, sorted }, infinite, limits) {
      const middle = short(percentile(sorted, 50));
      const beyond = sorted.at(-1) > bins.high ? " and more" : "";
      const rest = infinite ? `; ${counted(infinite, "paths")} not finite` : "";
      const limit = limits
        .filter((each) => each !== null)
        .map((each) => short(each, 4))
        .join(" and ");
      const ends = [short(bins.low), `median ${middle}`, `${short(bins.high)}${beyond}`];
      this.ends.replaceChildren(...ends.map((text) => element("span", {}, text)));
      this.picture.setAttribute("aria-label", `${this.name}: from ${ends.join(", ")}${rest}; limit ${limit}`);
    }

    place(bins, limit) {
      const scale = this.logarithmic ? Math.log : (value) => value;
      if (this.logarithmic && limit <= 0) return 0;
      const share = (scale(limit) - scale(bins.low)) / (scale(bins.high) - scale(bins.low));
      return (WIDTH * Math.min(1, Math.max(0, share))).toFixed(1);
    }
  }

  function bars(counts, highest) {
    const width = WIDTH / counts.length;
    return Array.from(counts, (size, place) => {
      const height = (HEIGHT * size) / highest;
      return size
        ? `M${(place * width).toFixed(2)} ${HEIGHT}v${-height.toFixed(2)}h${(width * 0.9).toFixed(2)}V${HEIGHT}z`
        : "";
    }).join("");
  }

  sertExplorer.chart = { Chart };
}
