// The view before and after: a test question as two tested students answered it, and as all others of the arm did.
{
  const { sides, outcomes, numbers, tokens } = sertExplorer;
  const { element, foreign, foreignLine, choice, setOptions, labelled, showBelow } = sertExplorer.dom;
  const { cut } = sertExplorer.visible;
  const { VirtualList } = sertExplorer.list;
  const { count, counted, percent, pValue, wilson } = numbers;
  const READINGS = [
    ["correct", "right as accuracies count it"],
    ["correct_strict", "right by the strict reading"],
  ];

  class Compare {
    constructor(model, changed) {
      Object.assign(this, { model, changed, group: "fixed", reading: "correct", id: null, found: null });
      const pick = (name) => (value) => this.set({ [name]: Number(value) });
      this.befores = choice([], { value: "", onchange: pick("before") });
      this.afters = choice([], { value: "", onchange: pick("after") });
      this.readings = choice(READINGS, { value: "correct", onchange: (reading) => this.set({ reading }) });
      this.summary = element("div", { class: "summary", role: "status" });
      this.groups = element("div", { class: "groups", role: "group", "aria-label": "Groups of questions" });
      this.list = new VirtualList({
        label: "Test questions",
        height: 60,
        fill: (row, place) => this.fillRow(row, place),
        choose: (place) => this.choose(place),
        open: () => showBelow(this.cards),
      });
      this.cards = element("article", { class: "cards", "aria-label": "The answers" });
      this.controls = element(
        "div",
        { class: "controls" },
        labelled("Before", this.befores),
        labelled("After", this.afters),
        labelled("Count", this.readings),
      );
      this.there = element(
        "div",
        {},
        this.controls,
        this.summary,
        this.groups,
        element("div", { class: "two" }, element("div", { class: "side" }, this.list.element), this.cards),
      );
      this.empty = element("p", { class: "empty" }, "Nothing was tested here: there are no answers to compare.");
      this.element = element("div", { class: "one" }, this.empty, this.there);
      model.addEventListener("arm", () => this.onArm());
    }

    get address() {
      const usual = this.sides && sides.usualSides(this.model.header, this.armNow, this.sides);
      const isUsual = !usual || (usual[0] === this.before && usual[1] === this.after);
      return {
        before: isUsual ? null : this.before,
        after: isUsual ? null : this.after,
        count: this.reading === "correct" ? null : this.reading,
        group: this.group === "fixed" ? null : this.group,
        t: this.id,
      };
    }

    restore({ before, after, count: reading, group, t }) {
      const known = (text) => text !== null && this.sides.find(({ output }) => String(output) === text)?.output;
      if (Number.isInteger(known(before))) this.before = known(before);
      if (Number.isInteger(known(after))) this.after = known(after);
      this.reading = READINGS.some(([name]) => name === reading) ? reading : "correct";
      this.group = outcomes.GROUPS.includes(group) ? group : "fixed";
      this.id = t;
      return this.refresh();
    }

    get armNow() {
      return this.model.header.arms[this.model.arm];
    }

    onArm() {
      const { header } = this.model;
      this.sides = sides.sidesOf(header, this.armNow.task);
      [this.before, this.after] = sides.usualSides(header, this.armNow, this.sides);
      this.there.hidden = !this.sides.length;
      this.empty.hidden = !!this.sides.length;
      this.refresh();
    }

    set(changed) {
      Object.assign(this, changed);
      this.refresh();
      this.changed();
    }

    async refresh() {
      if (!this.sides?.length || this.element.closest("[hidden]")) return;
      const turn = (this.turn = (this.turn ?? 0) + 1);
      const options = this.sides.map(({ output, words }) => [output, words]);
      setOptions(this.befores, options, this.before);
      setOptions(this.afters, options, this.after);
      this.readings.value = this.reading;
      const found = await sides.compareSides(this.model.header, [this.before, this.after], this.reading);
      const one = await sides.answered(this.model.header, this.before);
      if (turn !== this.turn) return;
      Object.assign(this, { found, one });
      this.showSummary();
      this.showGroups();
    }

    showSummary() {
      const { found } = this;
      const [fixed, broken] = ["fixed", "broken"].map((name) => found.rows[name].length);
      const { answer, count: most } = found.majority;
      const accuracy = (name, k) => {
        const words = this.sides.find(({ output }) => output === name).words;
        const [low, high] = found.n ? wilson(k, found.n).map((share) => (100 * share).toFixed(1)) : ["0", "100"];
        return element(
          "div",
          {},
          element("dt", {}, foreignLine(words)),
          element("dd", {}, `${count(k)} of ${count(found.n)} right, ${percent(k, found.n)} (95 %: ${low} to ${high})`),
        );
      };
      const paired = `${count(fixed)} fixed, ${count(broken)} broken; exact paired test (McNemar): ${pValue(found.p)}`;
      const only = found.only
        ? element(
            "p",
            { class: "note" },
            `${counted(found.only, "questions")} that only one of them was asked are left out.`,
          )
        : "";
      this.summary.replaceChildren(
        element(
          "dl",
          {},
          accuracy(this.before, found.right.before),
          accuracy(this.after, found.right.after),
          element("div", {}, element("dt", {}, "Difference"), element("dd", {}, paired)),
          element(
            "div",
            {},
            element("dt", {}, "Majority class"),
            element(
              "dd",
              {},
              foreignLine(answer ?? "none"),
              ` ${count(most)} of ${count(found.n)}, ${percent(most, found.n)}`,
            ),
          ),
        ),
        only,
      );
    }

    showGroups() {
      const { found } = this;
      const buttons = outcomes.GROUPS.map((name) => {
        const size = found.rows[name].length;
        const words = `${count(size)}/${count(found.n)} (${percent(size, found.n)})`;
        const pressed = String(name === this.group);
        return element(
          "button",
          { type: "button", "aria-pressed": pressed, onclick: () => this.setGroup(name) },
          element("b", {}, name),
          " ",
          words,
        );
      });
      this.groups.replaceChildren(...buttons);
      this.places = found.rows[this.group];
      const place = this.places.find((each) => found.ids[each] === this.id) ?? this.places[0];
      this.list.show(this.places, place);
      if (place === undefined) {
        this.cards.replaceChildren(element("p", { class: "empty" }, `No question is ${this.group}.`));
        return;
      }
      this.list.point(place);
      this.showCards(place);
    }

    setGroup(name) {
      this.group = name;
      this.showGroups();
      this.groups.querySelector("[aria-pressed=true]").focus();
      this.changed();
    }

    fillRow(row, place) {
      const { one, found } = this;
      const id = found.ids[place];
      const question = one.questions.question[one.places.get(id).place];
      row.append(
        foreignLine(cut(question, 300), "span", { class: "row-text" }),
        element(
          "span",
          { class: "row-facts" },
          foreignLine(cut(id, 40), "span", { class: "row-id" }),
          element("span", {}, this.group),
        ),
      );
    }

    choose(place) {
      this.id = this.found.ids[place];
      this.showCards(place);
      this.changed();
    }

    step(by) {
      if (this.found && this.places.length) this.list.go(this.list.current + by);
    }

    /** Show one question with the outputs of the two, and of all other methods of the arm. */
    async showCards(place) {
      const { one, found, model } = this;
      const id = (this.id = found.ids[place]);
      const at = one.places.get(id).place;
      const others = Object.values(this.armNow.methods).filter(
        (output) => output !== this.before && output !== this.after,
      );
      const outputs = [...new Set([this.before, this.after, ...others])];
      const cards = await Promise.all(outputs.map((output) => this.card(output, id)));
      if (this.id !== id || found !== this.found || model.arm === null) return;
      const { question, choices, answer } = one.questions;
      this.cards.replaceChildren(
        element("p", { class: "facts" }, foreignLine(id)),
        foreign(question[at], "h2", { class: "asked" }),
        ...(choices[at] ?? []).map((text, number) =>
          element("p", { class: "choice" }, element("b", {}, `${String.fromCharCode(65 + number)} `), foreign(text)),
        ),
        element("p", {}, "Gold answer: ", foreign(answer[at], "b", { class: "gold" })),
        element("div", { class: "card-grid" }, ...cards.filter(Boolean)),
      );
    }

    async card(output, id) {
      const { columns, places } = await sides.answered(this.model.header, output);
      if (!places.has(id)) return null;
      const { at } = places.get(id);
      const right = columns[this.reading][at] === 1;
      const side = this.sides.find((each) => each.output === output);
      const role = output === this.before ? "before" : output === this.after ? "after" : "";
      const votes = columns.num_outputs[at] > 1 ? `${columns.votes[at]} of ${columns.num_outputs[at]} votes` : "";
      const facts = [
        counted(columns.num_tokens[at], "tokens"),
        `ended by ${columns.finish[at]}`,
        columns.reasoned[at] ? "reasons" : "does not reason",
        votes,
      ];
      const answer = this.reading === "correct" ? columns.answer[at] : columns.strict[at];
      return element(
        "section",
        { class: `card ${role}` },
        element(
          "h3",
          {},
          foreignLine(side?.words ?? "", "span"),
          " ",
          role && element("span", { class: "chip was" }, role),
        ),
        element(
          "p",
          {},
          element("span", { class: right ? "right" : "wrong" }, right ? "✓ right" : "✗ wrong"),
          ": ",
          answer === null ? element("span", { class: "soft" }, "no answer") : foreignLine(answer, "b"),
        ),
        tokens.plainText(columns.completion[at]),
        element("p", { class: "facts" }, ...facts.filter(Boolean).map((fact) => foreignLine(fact, "span"))),
      );
    }
  }

  sertExplorer.compare = { Compare };
}
