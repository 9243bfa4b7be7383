// The tested students of this file, and the same questions as two of them answered.
{
  const { data, outcomes, words } = sertExplorer;

  /** Words for a tested student: its method, and what else tells it from the others of the file. */
  function nameOf(header, { run, student, seed, variant }, method) {
    const { arms, runs } = header;
    const differs = (key) => new Set(arms.map((arm) => arm[key])).size > 1;
    const parts = [header.method_names[method] ?? method];
    if (runs.length > 1) parts.push(words.runName(header, run));
    if (differs("student")) parts.push(student);
    if (differs("variant")) parts.push(variant);
    if (differs("seed")) parts.push(`seed ${seed}`);
    return parts.join(" · ");
  }

  /** All tested students of a task, each once: its number among the outputs, its words, its method and run. */
  function sidesOf(header, task) {
    const sides = new Map();
    for (const arm of header.arms.filter((each) => each.task === task)) {
      for (const [method, output] of Object.entries(arm.methods)) {
        if (!sides.has(output)) sides.set(output, { output, method, run: arm.run, words: nameOf(header, arm, method) });
      }
    }
    return [...sides.values()];
  }

  /** Which two are compared at first: untrained and self-trained, or the same method of two runs. */
  function usualSides(header, arm, sides) {
    const own = Object.entries(arm.methods);
    if (!own.length) return [sides[0]?.output, sides.at(-1)?.output];
    const [last] = own.filter(([method]) => method === "sert").concat(own.slice(-1));
    const elsewhere = sides.find(({ method, run }) => method === last[0] && run !== arm.run);
    if (header.runs.length > 1 && elsewhere) {
      return arm.run < elsewhere.run ? [last[1], elsewhere.output] : [elsewhere.output, last[1]];
    }
    return [own[0][1], last[1]];
  }

  /** The outputs of a tested student by the id of their question. */
  async function answered(header, output) {
    const { set } = header.outputs[output];
    const [columns, questions] = await Promise.all([data.outputs(output), data.questions(set)]);
    const places = new Map(columns.question.map((place, at) => [questions.id[place], { place, at }]));
    return { columns, questions, places };
  }

  /** Put two tested students side by side on the questions that both were asked. */
  async function compareSides(header, [before, after], reading) {
    const [one, other] = await Promise.all([answered(header, before), answered(header, after)]);
    const ids = [...one.places.keys()].filter((id) => other.places.has(id));
    const right = ({ columns, places }) => ids.map((id) => columns[reading][places.get(id).at]);
    const found = outcomes.compare(right(one), right(other));
    const gold = ids.map((id) => one.questions.answer[one.places.get(id).place]);
    return {
      ...found,
      ids,
      majority: outcomes.majority(gold),
      only: one.places.size + other.places.size - 2 * ids.length,
    };
  }

  sertExplorer.sides = { sidesOf, usualSides, answered, compareSides };
}
