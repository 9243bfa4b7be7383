// The filter: which rule drops each path, and which of the kept ones is selected, as `sert filter` decides it.
// Columns and settings come in, codes and marks go out; no page is touched here.
{
  const { sortedFinite, percentile } = sertExplorer.numbers;

  /** The rules in the order in which they are asked; the reason of a path is that of the first that drops it. */
  const RULES = [
    "imitation",
    "option_repetition",
    "direct_response",
    "length",
    "repetition",
    "perplexity",
    "high_perplexity",
    "unfinished",
  ];
  /** Code -> reason; 0 is kept, the code of a rule is its place in `RULES` plus 1. */
  const REASONS = ["", ...RULES, "rejected", "outrun"];
  const KEPT = 0;
  const REJECTED = REASONS.indexOf("rejected"); // cut short while mining since a rule was certain to drop it
  const OUTRUN = REASONS.indexOf("outrun"); // cut short while mining since another path was certain to be preferred
  const PATTERNS = 3; // the first rules are switches, with the first bits of the flags
  const FLAGS = { concluded: 8, agrees: 16, verified: 32, tokens: 64 };
  /** The setting of each rule, and the value with which it drops nothing. */
  const SETTINGS = {
    imitation: ["imitation", false],
    option_repetition: ["option_repetition", false],
    direct_response: ["direct_response", false],
    length: ["min_tokens", 0],
    repetition: ["max_rep_2", 1],
    perplexity: ["min_perplexity", 0],
    high_perplexity: ["max_perplexity", null],
    unfinished: ["unfinished", "keep"],
  };
  const sorted = new WeakMap();
  const losses = new WeakMap();

  /** The columns that are measured under these settings: length and rep-2 by unit, perplexity by what it is over. */
  function measuresOf(columns, rules) {
    return {
      num_tokens: rules.unit === "words" ? columns.num_words : columns.num_tokens,
      rep_2: rules.unit === "words" ? columns.rep_2_words : columns.rep_2,
      perplexity: rules.perplexity_over === "continuation" ? columns.perplexity_continuation : columns.perplexity,
    };
  }

  /** A limit as a number: a percentile is one of all finite values, before any rule; null is no limit. */
  function limitOf(limit, column, known) {
    if (typeof limit !== "string") return limit;
    if (known && limit in known) return known[limit];
    if (!sorted.has(column)) sorted.set(column, sortedFinite(column));
    return percentile(sorted.get(column), Number(limit.slice(1)));
  }

  /** The limits of the perplexity as numbers; percentiles that not all paths are here for are `known_limits`. */
  function limitsOf(columns, rules) {
    const known = columns.known_limits;
    const { perplexity } = measuresOf(columns, rules);
    return {
      min_perplexity: limitOf(rules.min_perplexity, perplexity, known),
      max_perplexity: limitOf(rules.max_perplexity ?? null, perplexity, known),
    };
  }

  /** The code of the reason of each path. Numbers exactly at a limit are kept, as the rules say. */
  function reasonsOf(columns, settings) {
    const { rules } = settings;
    const asked = new Set(settings.selection.rules);
    const { num_tokens: tokens, rep_2: repetition, perplexity } = measuresOf(columns, rules);
    const limits = limitsOf(columns, rules);
    const { flags, finish, whole_characters: whole } = columns;
    const [rejected, outrun] = ["rejected", "outrun"].map((word) => columns.finishes.indexOf(word));
    let mask = 0;
    for (let place = 0; place < PATTERNS; place += 1) {
      if (asked.has(RULES[place]) && rules[RULES[place]]) mask |= 1 << place;
    }
    const fewest = asked.has("length") ? rules.min_tokens : -Infinity;
    const mostRepeated = asked.has("repetition") ? rules.max_rep_2 : Infinity;
    const lowest = asked.has("perplexity") ? limits.min_perplexity : -Infinity;
    const highest = asked.has("high_perplexity") && limits.max_perplexity !== null ? limits.max_perplexity : Infinity;
    const unfinished = asked.has("unfinished") ? (rules.unfinished ?? "keep") : "keep";
    const longestCut = { keep: -1, trim: 0, drop: Infinity }[unfinished]; // whole characters up to which it is dropped
    const reasons = new Uint8Array(flags.length);
    for (let row = 0; row < reasons.length; row += 1) {
      const found = flags[row] & mask;
      let reason = KEPT;
      if (finish[row] === outrun) reason = OUTRUN;
      else if (found) reason = found & 1 ? 1 : found & 2 ? 2 : 3;
      else if (tokens[row] < fewest) reason = 4;
      else if (repetition[row] > mostRepeated) reason = 5;
      else if (perplexity[row] < lowest) reason = 6;
      else if (perplexity[row] > highest) reason = 7;
      else if (whole[row] >= 0 && whole[row] <= longestCut) reason = 8;
      else if (finish[row] === rejected) reason = REJECTED;
      reasons[row] = reason;
    }
    return reasons;
  }

  /** What the selection goes by, of which the least is taken. */
  function preferenceOf(columns, settings) {
    const { order } = settings.selection;
    const { rep_2: repetition, perplexity } = measuresOf(columns, settings.rules);
    if (order === "mean_logprob") return perplexity;
    if (order === "random") return columns.random_rank;
    if (order === "gain") return lossesOf(columns.gain);
    return repetition;
  }

  /** Gains with their sign turned, so that the largest is preferred; where nobody knows one, it comes last. */
  function lossesOf(gain) {
    if (!losses.has(gain))
      losses.set(
        gain,
        gain.map((nats) => (Number.isNaN(nats) ? Infinity : -nats)),
      );
    return losses.get(gain);
  }

  /** Mark the kept paths of a question, one or as many as are set: by preference, then branch, then sample. */
  function selectedOf(columns, settings, reasons) {
    const preference = preferenceOf(columns, settings);
    const { question_rows: starts, flags, branch, sample } = columns;
    const { only_agreeing, only_sometimes_right: sometimes, max_per_question: most = 1 } = settings.selection;
    const needed = only_agreeing ? FLAGS.agrees : 0;
    const marks = new Uint8Array(reasons.length);
    for (let question = 0; question + 1 < starts.length; question += 1) {
      const [first, end] = [starts[question], starts[question + 1]];
      if (sometimes && !isSometimesRight(flags, first, end)) continue;
      const best = [];
      for (let row = first; row < end; row += 1) {
        if (reasons[row] !== KEPT || (flags[row] & needed) !== needed) continue;
        const place = best.findIndex((other) => precedes(preference, branch, sample, row, other));
        best.splice(place < 0 ? best.length : place, 0, row);
        best.length = Math.min(best.length, most);
      }
      for (const row of best) marks[row] = 1;
    }
    return marks;
  }

  /** Tell whether some of a question's paths, and not all, conclude the gold answer. */
  function isSometimesRight(flags, first, end) {
    let right = 0;
    for (let row = first; row < end; row += 1) right += flags[row] & FLAGS.agrees ? 1 : 0;
    return right > 0 && right < end - first;
  }

  function precedes(preference, branch, sample, row, best) {
    if (preference[row] !== preference[best]) return preference[row] < preference[best];
    if (branch[row] !== branch[best]) return branch[row] < branch[best];
    return sample[row] < sample[best];
  }

  /** Apply the rules and the selection: a code of `REASONS` or `KEPT` a path, and 1 for each selected one. */
  function apply(columns, settings) {
    const reasons = reasonsOf(columns, settings);
    return { reasons, selected: selectedOf(columns, settings, reasons) };
  }

  /** Tell whether a rule can drop anything under these settings. */
  function isOn(name, settings) {
    const [setting, off] = SETTINGS[name];
    return settings.selection.rules.includes(name) && (settings.rules[setting] ?? off) !== off;
  }

  /** Name all rules that drop a path by themselves, in their order, not only the first. */
  function allReasons(columns, settings, row) {
    const one = rowAsColumns(columns, row);
    const rules = { ...settings.rules, ...limitsOf(columns, settings.rules) };
    return RULES.filter((name, code) => {
      const alone = settings.selection.rules.filter((asked) => asked === name);
      return reasonsOf(one, { rules, selection: { ...settings.selection, rules: alone } })[0] === code + 1;
    });
  }

  function rowAsColumns(columns, row) {
    const parts = Object.entries(columns).map(([name, column]) =>
      ArrayBuffer.isView(column) ? [name, column.slice(row, row + 1)] : [name, column],
    );
    return Object.fromEntries(parts);
  }

  sertExplorer.rules = {
    RULES,
    REASONS,
    KEPT,
    REJECTED,
    OUTRUN,
    SETTINGS,
    FLAGS,
    apply,
    isOn,
    limitsOf,
    measuresOf,
    preferenceOf,
    allReasons,
  };
}
