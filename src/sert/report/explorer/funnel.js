// What is left after each rule, and what a change of the rules does. No page is touched here.
{
  const { RULES, REASONS, KEPT, REJECTED, OUTRUN } = sertExplorer.rules;

  /** Rules that tables show although they are off: those of the paper. */
  const USUAL = RULES.slice(0, 6);

  /** Count paths by the code of their reason. */
  function countReasons(reasons) {
    const counts = new Int32Array(256);
    for (let row = 0; row < reasons.length; row += 1) counts[reasons[row]] += 1;
    return counts;
  }

  /** The steps of the funnel in order: what remains after each, and how many paths it dropped. */
  function funnel({ reasons, selected }, isOn) {
    const counts = countReasons(reasons);
    const chosen = selected.reduce((sum, mark) => sum + mark, 0);
    const shown = RULES.map((name, place) => [name, counts[place + 1]]).filter(
      ([name, dropped]) => USUAL.includes(name) || dropped > 0 || isOn(name),
    );
    const cutShort = [OUTRUN, REJECTED].map((code) => [REASONS[code], counts[code]]).filter(([, dropped]) => dropped);
    let remaining = reasons.length;
    const steps = [["mined", 0], ...shown, ...cutShort, ["selected", counts[KEPT] - chosen]];
    return steps.map(([step, dropped]) => ({ step, dropped, remaining: (remaining -= dropped) }));
  }

  /** The paths that come in, and that fall out, between two filterings, by what is looked at: kept or selected. */
  function changes(before, now, what = "kept") {
    const [comeIn, fallOut] = [[], []];
    for (let row = 0; row < now.reasons.length; row += 1) {
      const was = what === "kept" ? before.reasons[row] === KEPT : before.selected[row] === 1;
      const is = what === "kept" ? now.reasons[row] === KEPT : now.selected[row] === 1;
      if (is && !was) comeIn.push(row);
      else if (was && !is) fallOut.push(row);
    }
    return { comeIn, fallOut };
  }

  /** Of each question: how many paths it has, how many are kept, and the row of the first selected one, or -1. */
  function byQuestion(columns, { reasons, selected }) {
    const { question_rows: starts } = columns;
    const size = Math.max(0, starts.length - 1);
    const kept = new Int32Array(size);
    const chosen = new Int32Array(size).fill(-1);
    for (let question = 0; question < size; question += 1) {
      for (let row = starts[question]; row < starts[question + 1]; row += 1) {
        if (reasons[row] === KEPT) kept[question] += 1;
        if (selected[row] && chosen[question] < 0) chosen[question] = row;
      }
    }
    return { kept, selected: chosen };
  }

  sertExplorer.funnel = { funnel, changes, byQuestion, countReasons };
}
