// Two measures of all paths as a picture: what is measured, where each path lies, and the drawing itself.
{
  const { rules, numbers } = sertExplorer;
  const { KEPT } = rules;
  const { sortedFinite, percentile } = numbers;

  const PERPLEXITY = ["min_perplexity", "max_perplexity"];
  /** What can be laid on an axis: words, the column, and its scale. */
  const MEASURES = {
    rep_2: { words: "rep-2", of: (model) => measured(model).rep_2, limits: ["max_rep_2"] },
    perplexity: {
      words: "perplexity",
      of: (model) => measured(model).perplexity,
      limits: PERPLEXITY,
      logarithmic: true,
    },
    length: { words: "length", of: (model) => measured(model).num_tokens, limits: ["min_tokens"] },
    first: { words: "probability of the first token", of: ({ mined }) => probabilities(mined.columns.first_logprob) },
    gain: { words: "gain, nats", of: ({ mined }) => mined.columns.gain, isThere: ({ mined }) => mined.pool.gain },
  };
  const SHOWN = {
    all: ["all paths", () => true],
    kept: ["kept ones", (now, row) => now.reasons[row] === KEPT],
    dropped: ["dropped ones", (now, row) => now.reasons[row] !== KEPT],
    selected: ["selected ones", (now, row) => now.selected[row] === 1],
  };
  const exponents = new WeakMap();
  const ranges = new WeakMap();

  const measured = ({ mined, settings }) => rules.measuresOf(mined.columns, settings.rules);

  function probabilities(logprobs) {
    if (!exponents.has(logprobs)) exponents.set(logprobs, Float64Array.from(logprobs, Math.exp));
    return exponents.get(logprobs);
  }

  /** The axis of a measure: its column, and how a value becomes a share of the axis and back. */
  function axis(model, name) {
    const { words, of, logarithmic = false } = MEASURES[name];
    const column = of(model);
    if (!ranges.has(column)) {
      const sorted = sortedFinite(column);
      ranges.set(column, sorted.length ? [sorted[0], percentile(sorted, 99.8), sorted.at(-1)] : [0, 1, 1]);
    }
    const [low, most] = ranges.get(column);
    const [from, scale, back] = logarithmic
      ? [Math.max(low, 1e-9), Math.log, Math.exp]
      : [Math.min(low, 0), (x) => x, (x) => x];
    const high = most > from ? most : from + 1;
    const width = scale(high) - scale(from);
    const share = (value) =>
      Math.min(1, Math.max(0, (scale(Math.max(value, logarithmic ? 1e-9 : -Infinity)) - scale(from)) / width));
    return { words, column, low: from, high, share, value: (place) => back(scale(from) + place * width) };
  }

  /** The limits of rules that stand on the axis of a measure, of all limits as numbers. */
  function limitsOf(name, limits) {
    return (MEASURES[name].limits ?? [])
      .map((setting) => limits[setting])
      .filter((limit) => Number.isFinite(limit) && limit > 0);
  }

  /** The paths within a rectangle of values, of those that are shown; without an end it is open. */
  function within(model, { x, y, shown, brush }) {
    const [across, up] = [MEASURES[x].of(model), MEASURES[y].of(model)];
    const [, belongs] = SHOWN[shown];
    const [left, right, bottom, top] = brush;
    const rows = [];
    for (let row = 0; row < across.length; row += 1) {
      const isIn = across[row] >= left && across[row] <= right && up[row] >= bottom && up[row] <= top;
      if (isIn && belongs(model.now, row)) rows.push(row);
    }
    return rows;
  }

  /** Count the paths of each spot of a picture: dropped ones, kept ones, selected ones. */
  function spots(model, { x, y, shown, width, height, size }) {
    const [across, up] = [axis(model, x), axis(model, y)];
    const [, belongs] = SHOWN[shown];
    const layers = [0, 1, 2].map(() => new Uint32Array(width * height));
    let missing = 0;
    for (let row = 0; row < across.column.length; row += 1) {
      if (!belongs(model.now, row)) continue;
      if (!Number.isFinite(across.column[row]) || !Number.isFinite(up.column[row])) {
        missing += 1;
        continue;
      }
      const left = Math.round(across.share(across.column[row]) * (width - size));
      const top = Math.round((1 - up.share(up.column[row])) * (height - size));
      const layer = layers[model.now.selected[row] ? 2 : model.now.reasons[row] === KEPT ? 1 : 0];
      for (let line = top; line < top + size; line += 1) {
        for (let place = left; place < left + size; place += 1) layer[line * width + place] += 1;
      }
    }
    return { layers, missing };
  }

  /** Paint counted spots: dropped below, kept over them, selected on top; the more paths, the denser. */
  function paint(context, layers, colours) {
    const { width, height } = context.canvas;
    const image = context.createImageData(width, height);
    layers.forEach((layer, place) => {
      const [red, green, blue] = colours[place];
      for (let spot = 0; spot < layer.length; spot += 1) {
        if (!layer[spot]) continue;
        const alpha = Math.min(1, 0.35 + 0.13 * Math.log2(layer[spot] + 1));
        const rest = (image.data[4 * spot + 3] / 255) * (1 - alpha);
        const sum = alpha + rest;
        const mix = (own, there) => (own * alpha + there * rest) / sum;
        image.data[4 * spot] = mix(red, image.data[4 * spot]);
        image.data[4 * spot + 1] = mix(green, image.data[4 * spot + 1]);
        image.data[4 * spot + 2] = mix(blue, image.data[4 * spot + 2]);
        image.data[4 * spot + 3] = 255 * sum;
      }
    });
    context.putImageData(image, 0, 0);
  }

  sertExplorer.scatter = { MEASURES, SHOWN, axis, limitsOf, within, spots, paint };
}
