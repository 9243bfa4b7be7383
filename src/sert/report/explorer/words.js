// What is said of a path and of a selection, in words.
{
  const { rules, numbers } = sertExplorer;
  const { RULES, REASONS, KEPT, FLAGS, SETTINGS } = rules;
  const { short, counted } = numbers;
  const { onOneLine } = sertExplorer.visible;

  /** Name a run; one without a name, or with the name of another one, by its number as well. */
  function runName({ runs }, number) {
    const { name } = runs[number];
    const isOne = name && runs.every((other, place) => place === number || other.name !== name);
    return isOne ? name : `${name || "run"} (${number + 1})`;
  }

  /** Say in words why a path is dropped. */
  const reasonName = (header, code) => onOneLine(header.rule_names[REASONS[code]] ?? REASONS[code]);

  /** What a path is under the rules as they are now: selected, kept, or dropped and why. */
  function standing(header, { reasons, selected }, row) {
    if (selected[row]) return { kind: "selected", words: "selected" };
    if (reasons[row] === KEPT) return { kind: "kept", words: "kept" };
    return { kind: "dropped", words: reasonName(header, reasons[row]) };
  }

  /** Name a path within its question. */
  const pathName = ({ branch, sample }, row) => `branch ${branch[row]}, sample ${sample[row]}`;

  /** Say what a path was measured at, in the units of the rules. */
  function measured(columns, settings, row) {
    const { num_tokens: tokens, rep_2: repetition, perplexity } = rules.measuresOf(columns, settings.rules);
    const unit = settings.rules.unit === "words" ? "words" : "tokens";
    return `${counted(tokens[row], unit)} · rep-2 ${short(repetition[row])} · perplexity ${short(perplexity[row])}`;
  }

  /** Say what a path concludes, and whether that is the gold answer; empty where it states nothing. */
  function concluded(columns, row, conclusion) {
    if (!(columns.flags[row] & FLAGS.concluded)) return "states no answer";
    const agrees = columns.flags[row] & FLAGS.agrees ? "the gold answer" : "not the gold answer";
    return conclusion === null || conclusion === undefined ? `states ${agrees}` : `answers ${conclusion}: ${agrees}`;
  }

  const ORDERS = {
    rep_2: "the lowest rep-2",
    random: "the lowest number by lot",
    mean_logprob: "the lowest perplexity",
    gain: "the highest gain in nats",
  };

  const valueIn = (settings, preference, row) => {
    const value = settings.selection.order === "gain" ? -preference[row] : preference[row];
    return Number.isFinite(value) ? short(value) : "unknown";
  };

  /** Say why a question's path is selected, or why none is. */
  function whySelected(model, number) {
    const { columns } = model.mined;
    const { settings, now, header } = model;
    const rows = rowsOf(columns, number);
    const kept = rows.filter((row) => now.reasons[row] === KEPT);
    const onlyAgreeing = settings.selection.only_agreeing;
    const candidates = kept.filter((row) => !onlyAgreeing || columns.flags[row] & FLAGS.agrees);
    if (!kept.length)
      return `No path is selected: all ${rows.length} are dropped, most as “${mostCommon(header, now, rows)}”.`;
    if (!candidates.length)
      return `No path is selected: none of the ${counted(kept.length, "kept paths")} states the gold answer.`;
    if (!candidates.some((row) => now.selected[row]))
      return "No path is selected: either none or all of the question's paths conclude the gold answer.";
    const preference = rules.preferenceOf(columns, settings);
    const several = candidates.filter((row) => now.selected[row]);
    if (several.length > 1) {
      const names = several.map((row) => pathName(columns, row)).join("; ");
      return `Selected: ${several.length} of ${counted(candidates.length, "kept paths")}, ${names}.`;
    }
    const best = candidates.find((row) => now.selected[row]);
    const others = candidates.filter((row) => row !== best).sort((a, b) => preference[a] - preference[b]);
    const most = ORDERS[settings.selection.order];
    const among = `${counted(candidates.length, "kept paths")}${onlyAgreeing ? " that state the gold answer" : ""}`;
    const chosen = `Selected: ${pathName(columns, best)}`;
    if (!others.length)
      return `${chosen}, the only ${onlyAgreeing ? "kept path that states the gold answer" : "kept path"}.`;
    const value = valueIn(settings, preference, best);
    const tie = preference[others[0]] === preference[best];
    const next = tie
      ? `; ${pathName(columns, others[0])} is as good, and the lower branch, then the lower sample, goes first`
      : `; the next has ${valueIn(settings, preference, others[0])} (${pathName(columns, others[0])})`;
    return `${chosen}, with ${most} (${value}) of ${among}${next}.`;
  }

  function rowsOf({ question_rows: starts }, number) {
    return Array.from({ length: starts[number + 1] - starts[number] }, (_, offset) => starts[number] + offset);
  }

  function mostCommon(header, { reasons }, rows) {
    const counts = new Map();
    for (const row of rows) counts.set(reasons[row], (counts.get(reasons[row]) ?? 0) + 1);
    const [code] = [...counts].sort(([, a], [, b]) => b - a)[0];
    return reasonName(header, code);
  }

  /** Say which rules drop a path, each with its limit; all of them, not only the first one. */
  function whyDropped(model, row) {
    const { settings, header } = model;
    const limits = { ...settings.rules, ...rules.limitsOf(model.mined.columns, settings.rules) };
    const names = rules.allReasons(model.mined.columns, settings, row).map((name) => {
      const [setting] = SETTINGS[name];
      const limit = typeof limits[setting] === "number" ? ` (${setting} = ${short(limits[setting])})` : "";
      return `${reasonName(header, RULES.indexOf(name) + 1)}${limit}`;
    });
    return names.length > 1
      ? `Dropped by ${names.length} rules: ${names.join(", ")}.`
      : names.length
        ? `Dropped: ${names[0]}.`
        : "";
  }

  sertExplorer.words = {
    runName,
    reasonName,
    standing,
    pathName,
    measured,
    concluded,
    whySelected,
    whyDropped,
    rowsOf,
  };
}
