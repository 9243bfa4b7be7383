// The view of questions: the list with its search and filters, and beside it the tree of the one that is chosen.
{
  const { filters, searching, words, numbers, rules } = sertExplorer;
  const { element, foreignLine, choice, setOptions, labelled, button, announce, showBelow } = sertExplorer.dom;
  const { cut, onOneLine } = sertExplorer.visible;
  const { VirtualList } = sertExplorer.list;
  const { Tree } = sertExplorer.tree;
  const { count, counted } = numbers;
  const { FLAGS } = rules;
  const PATIENCE = 250; // milliseconds without typing before a search begins

  class Questions {
    constructor(model, changed) {
      Object.assign(this, { model, changed, kind: "all", reason: null, order: "asked", find: "", found: null });
      this.tree = new Tree(model);
      this.list = new VirtualList({
        label: "Questions",
        height: 60,
        fill: (row, number) => this.fillRow(row, number),
        choose: (number) => this.choose(number),
        open: () => showBelow(this.tree.element),
      });
      this.makeControls();
      const side = element("div", { class: "side" }, this.controls, this.tally, this.progress, this.list.element);
      this.element = element("div", { class: "two" }, side, this.tree.element);
      model.addEventListener("arm", () => this.onArm());
      model.addEventListener("rules", () => this.refresh());
      model.addEventListener("marks", () => this.refresh());
    }

    makeControls() {
      this.search = element("input", {
        type: "search",
        placeholder: "words in questions and paths",
        autocomplete: "off",
        spellcheck: "false",
      });
      this.search.addEventListener("input", () => this.onTyping());
      this.search.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.look();
        if (event.key === "Escape") this.list.element.focus();
      });
      const pick = (name) => (value) => this.set({ [name]: value });
      this.kinds = choice([], { value: "all", onchange: pick("kind") });
      this.reasons = choice([], {
        value: "",
        onchange: (value) => this.set({ reason: value === "" ? null : Number(value) }),
      });
      const orders = Object.entries(filters.ORDERS).map(([name, [said]]) => [name, said]);
      this.orders = choice(orders, { value: "asked", onchange: (order) => this.setOrder(order) });
      this.selectedOnly = element("input", {
        type: "checkbox",
        onchange: () => this.setSelectedOnly(this.selectedOnly.checked),
      });
      this.controls = element(
        "form",
        { class: "controls", onsubmit: (event) => event.preventDefault(), "aria-label": "Which questions" },
        labelled("Search", this.search),
        labelled("Show", this.kinds),
        labelled("With a path", this.reasons),
        labelled("Order", this.orders),
        labelled("Selected paths only", this.selectedOnly),
      );
      this.tally = element("p", { class: "tally", role: "status" });
      this.bar = element("progress", { "aria-label": "Search", max: "1", value: "0" });
      this.progressText = element("span", {});
      const stop = button("Stop", () => this.endSearch("Search stopped."));
      this.progress = element("p", { class: "progress", hidden: true }, this.bar, this.progressText, stop);
      this.stopButton = stop;
    }

    /** What the address keeps of this view. */
    get address() {
      const { kind, order, find } = this;
      return {
        q: this.currentId,
        p: this.currentPath,
        kind: kind === "all" ? null : kind,
        reason: this.reason === null ? null : rules.REASONS[this.reason],
        order: order === "asked" ? null : order,
        find: find || null,
        only: this.tree.selectedOnly ? "selected" : null,
      };
    }

    /** Take up what an address says. */
    restore({ q, p, kind, reason, order, find, only }) {
      this.kind = kind in filters.KINDS ? kind : "all";
      this.order = order in filters.ORDERS ? order : "asked";
      this.reason = rules.REASONS.indexOf(reason) > 0 ? rules.REASONS.indexOf(reason) : null;
      this.tree.selectedOnly = only === "selected";
      this.selectedOnly.checked = this.tree.selectedOnly;
      this.orders.value = this.order;
      this.search.value = find ?? "";
      if (!this.model.mined) return;
      const number = q === null ? -1 : this.model.numberOfId(q);
      const row = number < 0 || p === null ? -1 : this.rowNamed(number, p);
      this.refresh();
      if (number >= 0) this.choose(number, row >= 0 ? row : null);
      if (find) this.look();
    }

    rowNamed(number, name) {
      const { columns } = this.model.mined;
      return (
        words.rowsOf(columns, number).find((row) => `${columns.branch[row]}.${columns.sample[row]}` === name) ?? -1
      );
    }

    onArm() {
      searching.stop();
      const { id } = this;
      Object.assign(this, { number: -1, row: null, found: null, numbers: [] });
      this.progress.hidden = true;
      this.element.hidden = !this.model.mined;
      if (!this.model.mined) return;
      this.start = id === undefined ? -1 : this.model.numberOfId(id);
    }

    /** Show the list again, after anything that it depends on; while it is out of sight, nothing is done. */
    refresh() {
      if (!this.model.mined || this.element.closest("[hidden]")) return;
      const { model } = this;
      const kinds = filters.kinds(model);
      if (!kinds.some(({ name }) => name === this.kind)) this.kind = "all";
      setOptions(
        this.kinds,
        kinds.map(({ name, words: said, size }) => [name, `${said} (${count(size)})`]),
        this.kind,
      );
      const reasons = filters.reasons(model);
      const options = reasons.map(({ code, size }) => [
        code,
        `dropped: ${words.reasonName(model.header, code)} (${count(size)})`,
      ]);
      if (!reasons.some(({ code }) => code === this.reason)) this.reason = null;
      setOptions(this.reasons, [["", "of any verdict"], ...options], this.reason ?? "");
      this.tree.reason = this.reason;
      this.numbers = filters.shown(model, this);
      this.tellTally();
      if (this.number < 0 && this.numbers.length) {
        this.number = this.numbers.includes(this.start) ? this.start : this.numbers[0];
        this.row = null;
        this.id = this.currentId;
      }
      this.list.show(this.numbers, this.number);
      this.list.point(this.number);
      this.tree.show(this.number, this.row);
    }

    tellTally() {
      const { pool } = this.model.mined;
      const of = `${count(this.numbers.length)} of ${counted(pool.questions, "questions")}`;
      const kept = this.model.byQuestion.kept.reduce((sum, number) => sum + number, 0);
      const by = this.model.isChanged ? " by other rules than the run's" : "";
      this.tally.textContent = `${of} · ${count(kept)} of ${counted(pool.paths, "paths")} kept${by}`;
    }

    set(changed) {
      Object.assign(this, changed);
      this.refresh();
      if (this.numbers.length && !this.numbers.includes(this.number)) this.choose(this.numbers[0]);
      this.changed();
    }

    /** Put the questions into another order, and go to the first one. */
    setOrder(order) {
      this.set({ order });
      this.list.go(0);
    }

    fillRow(row, number) {
      const { mined, byQuestion } = this.model;
      const { columns, questions } = mined;
      const place = this.model.placeOf(number);
      const size = columns.question_rows[number + 1] - columns.question_rows[number];
      const selected = byQuestion.selected[number];
      const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("i"));
      bar.firstChild.style.setProperty("width", `${(100 * byQuestion.kept[number]) / size}%`);
      row.append(
        foreignLine(cut(questions.question[place], 300), "span", { class: "row-text" }),
        element(
          "span",
          { class: "row-facts" },
          foreignLine(cut(questions.id[place], 40), "span", { class: "row-id" }),
          bar,
          element("span", {}, `${byQuestion.kept[number]}/${size} kept`),
          element("span", { class: selected < 0 ? "soft" : "chip selected" }, this.selectionWord(selected)),
        ),
      );
    }

    selectionWord(row) {
      if (row < 0) return "none selected";
      const flags = this.model.mined.columns.flags[row];
      if (flags & FLAGS.agrees) return "selected, agrees";
      return flags & FLAGS.concluded ? "selected, disagrees" : "selected, no answer";
    }

    /** Show a question, and of it a path. */
    choose(number, row = null) {
      Object.assign(this, { number, row });
      this.id = this.currentId;
      this.list.point(number);
      this.tree.show(number, row);
      this.changed();
    }

    get currentId() {
      const { mined } = this.model;
      return mined && this.number >= 0 && this.number < mined.pool.questions
        ? mined.questions.id[this.model.placeOf(this.number)]
        : null;
    }

    get currentPath() {
      if (this.row === null || this.row === undefined) return null;
      const { branch, sample } = this.model.mined.columns;
      return `${branch[this.row]}.${sample[this.row]}`;
    }

    step(by) {
      const place = this.numbers.indexOf(this.number);
      this.list.go(place < 0 ? 0 : place + by);
    }

    setSelectedOnly(only) {
      this.tree.selectedOnly = this.selectedOnly.checked = only;
      announce(only ? "Selected paths only." : "All paths.");
      this.tree.show(this.number, this.row);
      this.changed();
    }

    /** Go on to the next reason that any path has, and behind the last one to all paths. */
    cycleReasons() {
      const codes = [null, ...filters.reasons(this.model).map(({ code }) => code)];
      const next = codes[(codes.indexOf(this.reason) + 1) % codes.length];
      this.set({ reason: next });
      announce(
        next === null ? "Paths of any verdict." : `Dropped: ${onOneLine(words.reasonName(this.model.header, next))}.`,
      );
    }

    onTyping() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look(), PATIENCE);
    }

    /** Look for the words of the search field, in questions at once and in paths as they are unpacked. */
    look() {
      clearTimeout(this.timer);
      this.find = this.search.value.trim();
      if (!this.find) {
        this.found = null;
        this.endSearch("");
        this.model.mark("found", null);
        this.changed();
        return;
      }
      this.progress.hidden = this.stopButton.hidden = false;
      this.bar.hidden = false;
      this.tellProgress(0, 1, 0);
      searching.search(this.find, { pool: this.model.mined.poolNumber, tell: (news) => this.onNews(news) });
      this.changed();
    }

    onNews({ rows, done, total, failure }) {
      if (failure) {
        this.endSearch(`The search ended early: ${failure}`);
        return;
      }
      this.tellProgress(done, total, rows.length);
      if (done < total) return;
      this.endSearch(`Found in ${counted(rows.length, "paths")}.`);
      this.found = this.questionsFound(rows);
      this.model.mark("found", rows);
    }

    questionsFound(rows) {
      const { questions, pool } = this.model.mined;
      const wanted = this.find.toLowerCase();
      const found = new Set(rows.map((row) => this.model.numberOf(row)));
      for (let number = 0; number < pool.questions; number += 1) {
        const place = this.model.placeOf(number);
        const texts = [questions.question[place], questions.id[place], ...(questions.choices[place] ?? [])];
        if (texts.some((text) => text.toLowerCase().includes(wanted))) found.add(number);
      }
      return found;
    }

    tellProgress(done, total, size) {
      this.bar.max = total;
      this.bar.value = done;
      const share = total ? Math.round((100 * done) / total) : 100;
      this.progressText.textContent = ` ${share} %, found in ${counted(size, "paths")} `;
    }

    endSearch(said) {
      searching.stop();
      this.bar.hidden = this.stopButton.hidden = true;
      this.progress.hidden = !said;
      this.progressText.textContent = onOneLine(said);
    }
  }

  sertExplorer.questions = { Questions };
}
