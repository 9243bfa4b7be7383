// The same questions answered twice: which were fixed, which broken, and how likely that is by chance.
{
  const { exactPairedP } = sertExplorer.numbers;

  const GROUPS = ["fixed", "broken", "both right", "both wrong"];

  /** Sort questions by who is right. Both sides hold 1 where the answer is right, 0 where not, 2 where it is none. */
  function compare(before, after) {
    const rows = Object.fromEntries(GROUPS.map((name) => [name, []]));
    for (let question = 0; question < before.length; question += 1) {
      if (before[question] > 1 || after[question] > 1) continue;
      const place = before[question] ? (after[question] ? 2 : 1) : after[question] ? 0 : 3;
      rows[GROUPS[place]].push(question);
    }
    const sizes = GROUPS.map((name) => rows[name].length);
    const n = sizes.reduce((sum, size) => sum + size, 0);
    const right = { before: sizes[1] + sizes[2], after: sizes[0] + sizes[2] };
    return { rows, n, right, p: exactPairedP(sizes[0], sizes[1]) };
  }

  /** The answer that is gold most often, and how often; the first one of equals. */
  function majority(answers) {
    const counts = new Map();
    for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    let best = { answer: null, count: 0 };
    for (const [answer, count] of counts) if (count > best.count) best = { answer, count };
    return best;
  }

  sertExplorer.outcomes = { GROUPS, compare, majority };
}
