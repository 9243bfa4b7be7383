// Which questions the list shows, and in which order. No page is touched here.
{
  const { FLAGS, KEPT } = sertExplorer.rules;

  const hasFlag = (model, row, flag) => row >= 0 && (model.mined.columns.flags[row] & flag) !== 0;
  const chosen = (model, number) => model.byQuestion.selected[number];

  /** Kinds of questions: words, what belongs to them, and whether the data can tell. */
  const KINDS = {
    all: ["all questions", () => true],
    kept: ["with a kept path", (model, number) => model.byQuestion.kept[number] > 0],
    dropped: ["all paths dropped", (model, number) => model.byQuestion.kept[number] === 0],
    selected: ["with a selected path", (model, number) => chosen(model, number) >= 0],
    agreeing: [
      "selected path agrees with the gold answer",
      (model, number) => hasFlag(model, chosen(model, number), FLAGS.agrees),
    ],
    disagreeing: [
      "selected path disagrees with it",
      (model, number) =>
        hasFlag(model, chosen(model, number), FLAGS.concluded) && !hasFlag(model, chosen(model, number), FLAGS.agrees),
    ],
    unanswered: [
      "selected path states no answer",
      (model, number) =>
        chosen(model, number) >= 0 && !hasFlag(model, chosen(model, number), FLAGS.concluded),
    ],
    verified: [
      "selected path is true in the lab",
      (model, number) => hasFlag(model, chosen(model, number), FLAGS.verified),
      (model) => model.mined.pool.verified,
    ],
    changed: ["selected path changed", (model, number) => isChanged(model, number), (model) => model.isChanged],
    brushed: [
      "with a path of the plane's brush",
      (model, number) => hasMark(model, model.brush, number),
      (model) => !!model.brush,
    ],
  };

  function isChanged({ mined, now }, number) {
    const { question_rows: starts } = mined.columns;
    for (let row = starts[number]; row < starts[number + 1]; row += 1) {
      if (mined.asRun.selected[row] !== now.selected[row]) return true;
    }
    return false;
  }

  function hasMark({ mined }, marks, number) {
    const { question_rows: starts } = mined.columns;
    for (let row = starts[number]; row < starts[number + 1]; row += 1) if (marks[row]) return true;
    return false;
  }

  function hasReason({ mined, now }, reason, number) {
    const { question_rows: starts } = mined.columns;
    for (let row = starts[number]; row < starts[number + 1]; row += 1) if (now.reasons[row] === reason) return true;
    return false;
  }

  const ORDERS = {
    asked: ["in the order of the file", null],
    most: ["most kept paths first", (model) => (number) => -model.byQuestion.kept[number]],
    fewest: ["fewest kept paths first", (model) => (number) => model.byQuestion.kept[number]],
    agreeing: ["most agreeing paths first", (model) => agreeing(model)],
  };

  function agreeing({ mined }) {
    const { question_rows: starts, flags } = mined.columns;
    const counts = new Int32Array(mined.pool.questions);
    for (let number = 0; number < counts.length; number += 1) {
      for (let row = starts[number]; row < starts[number + 1]; row += 1)
        if (flags[row] & FLAGS.agrees) counts[number] -= 1;
    }
    return (number) => counts[number];
  }

  /** The kinds that can be told here, each with how many questions it has. */
  function kinds(model) {
    const there = Object.entries(KINDS).filter(([, [, , isThere]]) => !isThere || isThere(model));
    return there.map(([name, [words, belongs]]) => {
      let size = 0;
      for (let number = 0; number < model.mined.pool.questions; number += 1) if (belongs(model, number)) size += 1;
      return { name, words, size };
    });
  }

  /** The reasons that any path has, each with how many; kept ones are not among them. */
  function reasons({ now }) {
    const counts = sertExplorer.funnel.countReasons(now.reasons);
    return sertExplorer.rules.REASONS.map((_, code) => ({ code, size: counts[code] })).filter(
      ({ code, size }) => code !== KEPT && size > 0,
    );
  }

  /** The numbers of the questions that are shown: of a kind, with a reason, among those found by words. */
  function shown(model, { kind = "all", reason = null, order = "asked", found = null }) {
    const [, belongs] = KINDS[kind];
    const numbers = [];
    for (let number = 0; number < model.mined.pool.questions; number += 1) {
      const isThere =
        belongs(model, number) &&
        (reason === null || hasReason(model, reason, number)) &&
        (!found || found.has(number));
      if (isThere) numbers.push(number);
    }
    const [, keyOf] = ORDERS[order];
    if (!keyOf) return numbers;
    const key = keyOf(model);
    return numbers.sort((a, b) => key(a) - key(b) || a - b);
  }

  sertExplorer.filters = { KINDS, ORDERS, kinds, reasons, shown };
}
