// What is looked at: an arm of a grid, its paths and questions, and the rules as they are set now.
{
  const { data, rules, funnel, permalink } = sertExplorer;
  const { apply, limitsOf } = rules;

  /** The limits that were percentiles, as the run found them. */
  function knownLimits({ rules: asked, limits }) {
    return Object.fromEntries(Object.entries(limits).map(([setting, number]) => [asked[setting], number]));
  }

  class Model extends EventTarget {
    constructor(header) {
      super();
      this.header = header;
      this.arm = null; // number of the arm
      this.mined = null; // what belongs to its paths; null where nothing was mined
      this.brush = null; // marks of paths chosen in the plane
      this.found = null; // marks of paths found by words
    }

    tell(what) {
      this.dispatchEvent(new Event(what));
    }

    /** The settings of the run, of rules and selection. */
    get ofRun() {
      return { rules: this.mined.view.rules, selection: this.mined.view.selection };
    }

    /** Look at an arm, and of its rounds at this one, or the last one. */
    async pick(arm, { round = null, settings = null } = {}) {
      const { rounds } = this.header.arms[arm];
      const place = round !== null && round >= 0 && round < rounds.length ? round : rounds.length - 1;
      const mined = rounds.length ? await this.load(rounds[place]) : null;
      Object.assign(this, { arm, round: place, mined, brush: null, found: null });
      if (mined) {
        this.settings = settings ? settings(this.ofRun) : structuredClone(this.ofRun);
        this.filter();
        mined.differences = this.differencesFromRun();
      }
      this.tell("arm");
      if (mined) this.tell("rules");
    }

    async load(number) {
      const view = this.header.views[number];
      const pool = this.header.pools[view.pool];
      const [columns, asRun, questions] = await Promise.all([
        data.columns(view.pool),
        data.verdicts(number),
        data.questions(pool.set),
      ]);
      const known = pool.percentiles ? {} : { known_limits: knownLimits(view) };
      const own = { number, view, pool, poolNumber: view.pool, asRun, questions, size: pool.paths };
      return { ...own, columns: { ...columns, ...known } };
    }

    /** How many paths these rules, set as the run had them, judge in another way than the run wrote down. */
    differencesFromRun() {
      const { columns, asRun } = this.mined;
      const here = apply(columns, this.ofRun);
      let differing = 0;
      for (let row = 0; row < here.reasons.length; row += 1) {
        const same = here.reasons[row] === asRun.reasons[row] && here.selected[row] === asRun.selected[row];
        if (!same) differing += 1;
      }
      return differing;
    }

    filter() {
      const { columns } = this.mined;
      this.now = apply(columns, this.settings);
      this.byQuestion = funnel.byQuestion(columns, this.now);
    }

    /** Change settings: `{rules: {...}, selection: {...}}`, each with what changes. */
    change({ rules: changed = {}, selection = {} }) {
      const { pool, columns } = this.mined;
      const moves = "perplexity_over" in changed && changed.perplexity_over !== this.settings.rules.perplexity_over;
      // A percentile that cannot be found anew stays the number that it was.
      const fixed = moves && !pool.percentiles ? limitsOf(columns, this.settings.rules) : {};
      this.settings = {
        rules: { ...this.settings.rules, ...fixed, ...changed },
        selection: { ...this.settings.selection, ...selection },
      };
      this.filter();
      this.tell("rules");
    }

    /** Whether the rules are other ones than those of the run. */
    get isChanged() {
      const names = Object.keys(permalink.ALLOWED).map((path) => path.split("."));
      return names.some(
        ([section, name]) =>
          JSON.stringify(this.settings[section][name] ?? null) !== JSON.stringify(this.ofRun[section][name] ?? null),
      );
    }

    /** Number of the question that a path belongs to, among those that have paths. */
    numberOf(row) {
      const { question_rows: starts } = this.mined.columns;
      let [low, high] = [0, starts.length - 1];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (starts[middle] <= row) low = middle;
        else high = middle;
      }
      return low;
    }

    /** Place of a question in its set. */
    placeOf(number) {
      const { columns } = this.mined;
      return columns.question[columns.question_rows[number]];
    }

    /** Number of the question with this id, or -1. */
    numberOfId(id) {
      const place = this.mined.questions.id.indexOf(id);
      if (place < 0) return -1;
      for (let number = 0; number < this.mined.pool.questions; number += 1) {
        if (this.placeOf(number) === place) return number;
      }
      return -1;
    }

    /** Keep marks of paths, by the words that found them or by the brush; null takes them away. */
    mark(what, rows) {
      const marks = rows && new Uint8Array(this.mined.size);
      for (const row of rows ?? []) marks[row] = 1;
      this[what] = marks;
      this.tell("marks");
    }
  }

  sertExplorer.model = { Model };
}
