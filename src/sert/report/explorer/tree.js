// One question: its first tokens with their probabilities, the samples of each, and what it is trained on.
{
  const { data, rules, words, numbers, tokens } = sertExplorer;
  const { element, foreign, foreignLine, labelled, announce, freshId } = sertExplorer.dom;
  const { KEPT, FLAGS } = rules;
  const { count, short } = numbers;
  const { cut, onOneLine, withBlanks } = sertExplorer.visible;
  const PREVIEW = 240;

  class Tree {
    constructor(model) {
      this.model = model;
      this.number = -1;
      this.branch = -1;
      this.selectedOnly = false;
      this.reason = null; // code of the only reason to show, or null
      this.shade = checkbox("Shade tokens", true, () => this.show(this.number));
      this.borders = checkbox("Token borders", false, () =>
        this.element.classList.toggle("bordered", this.borders.checked),
      );
      this.body = element("div", { class: "tree-body" });
      const options = element("div", { class: "options" }, this.shade.label, this.borders.label);
      this.element = element("article", { class: "tree", "aria-label": "The question" }, options, this.body);
    }

    /** Show a question; `row` is the path to open, else the selected one. */
    async show(number, row = null) {
      const { mined } = this.model;
      this.number = number;
      const turn = (this.turn = (this.turn ?? 0) + 1);
      if (!mined || number < 0) {
        this.body.replaceChildren(element("p", { class: "empty" }, "Choose a question in the list, or press j."));
        return;
      }
      const [own, tokensThere] = await Promise.all([
        data.texts(mined.poolNumber, number),
        data.tokens(mined.poolNumber, number),
      ]);
      if (turn !== this.turn) return;
      Object.assign(this, { own, tokensThere, open: row });
      this.body.replaceChildren(...this.questionParts(), ...this.branchParts());
      this.element.dataset.number = number;
      this.branch = -1;
      if (row !== null) this.body.querySelector(`[data-row="${row}"]`)?.scrollIntoView({ block: "nearest" });
    }

    questionParts() {
      const { mined, byQuestion } = this.model;
      const { questions } = mined;
      const place = this.model.placeOf(this.number);
      const size = mined.columns.question_rows[this.number + 1] - mined.columns.question_rows[this.number];
      const gold = questions.answer[place];
      const choices = questions.choices[place] ?? [];
      const kept = `${count(byQuestion.kept[this.number])} of ${numbers.counted(size, "paths")} kept`;
      return [
        element("p", { class: "facts" }, foreignLine(questions.id[place]), element("span", {}, kept)),
        foreign(questions.question[place], "h2", { class: "asked" }),
        ...(questions.context?.[place] ?? []).map(([name, text]) => folded(`Context: ${name}`, tokens.plainText(text))),
        choices.length ? choiceList(choices, gold) : null,
        element("p", {}, "Gold answer: ", foreign(gold, "b", { class: "gold" })),
        element("p", { class: "why" }, words.whySelected(this.model, this.number)),
        folded("Prompt, as the student was asked", tokens.plainText(this.own.prompt)),
        this.examplePart(this.own.examples?.[mined.number]),
        mined.pool.tokens === "none" ? element("p", { class: "note" }, onOneLine(mined.pool.no_tokens)) : null,
        this.shade.checked && mined.pool.tokens !== "none" ? tokens.legend() : null,
      ].filter(Boolean);
    }

    examplePart(example) {
      const { mined } = this.model;
      if (mined.view.own || !mined.view.examples) return null;
      if (!example) return element("p", { class: "note" }, "The run trained on no path of this question.");
      const [completion, conclusion] = example;
      const end = conclusion && completion.endsWith(conclusion) ? conclusion : "";
      const text = foreign(completion.slice(0, completion.length - end.length), "span");
      const parts = element("p", { class: "text" }, text, end && foreign(end, "b", { class: "conclusion" }));
      const note = end
        ? element("p", { class: "note" }, "The bold end is the conclusion; the path has no part in it.")
        : null;
      return folded("Trained example, as the run wrote it", element("div", {}, parts, note));
    }

    branchParts() {
      const { columns } = this.model.mined;
      const byBranch = new Map();
      words.rowsOf(columns, this.number).forEach((row, place) => {
        const branch = columns.branch[row];
        if (!byBranch.has(branch)) byBranch.set(branch, []);
        byBranch.get(branch).push({ row, place });
      });
      const first = new Map(this.own.first.map(([branch, text]) => [Number(branch), text]));
      const sections = [...byBranch].map(([branch, paths]) => this.branchPart(branch, paths, first.get(branch)));
      const hidden = sections.filter((section) => !section).length;
      const note = hidden
        ? `${numbers.counted(hidden, "branches")} without such a path ${hidden === 1 ? "is" : "are"} not shown.`
        : "";
      return [...sections.filter(Boolean), note && element("p", { class: "note" }, note)].filter(Boolean);
    }

    branchPart(branch, paths, token) {
      const { columns } = this.model.mined;
      const { reasons } = this.model.now;
      const shown = paths.filter(({ row }) => this.isShown(row));
      if (!shown.length) return null;
      const kept = paths.filter(({ row }) => reasons[row] === KEPT).length;
      const logprob = columns.first_logprob[paths[0].row];
      const probability = Number.isNaN(logprob) ? null : Math.exp(logprob);
      const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("i"));
      bar.firstChild.style.setProperty("width", `${100 * (probability ?? 0)}%`);
      const name = token
        ? foreign(withBlanks(token), "span", { class: "token" })
        : element("span", { class: "soft" }, "(no token)");
      const heading = element(
        "h3",
        { tabindex: "-1" },
        element("span", { class: "soft" }, `Branch ${branch} `),
        name,
        bar,
        element("span", {}, probability === null ? "unknown" : `${short(100 * probability)} %`),
        element("span", { class: "soft" }, `${kept} of ${paths.length} kept`),
      );
      return element(
        "section",
        { class: "branch", "data-branch": branch },
        heading,
        ...shown.map((path) => this.leaf(path)),
      );
    }

    isShown(row) {
      const { reasons, selected } = this.model.now;
      if (this.selectedOnly) return selected[row] === 1;
      return this.reason === null || reasons[row] === this.reason;
    }

    leaf({ row, place }) {
      const { header, now, mined, found } = this.model;
      const { kind, words: said } = words.standing(header, now, row);
      const was = words.standing(header, mined.asRun, row);
      const text = this.own.texts[place];
      const body = element("div", { class: "leaf-body", id: freshId(), hidden: true });
      const preview = foreignLine(cut(text.slice(0, 4 * PREVIEW), PREVIEW), "span", { class: "preview" });
      const chips = [element("span", { class: `chip ${kind}` }, said)];
      if (was.words !== said) chips.push(element("span", { class: "chip was" }, `was: ${was.words}`));
      if (found?.[row]) chips.push(element("span", { class: "chip found" }, "found"));
      const opener = element(
        "button",
        { type: "button", class: "opener", "aria-expanded": "false", "aria-controls": body.id },
        element("span", { class: "soft" }, `${mined.columns.sample[row]}`),
        ...chips,
        preview,
      );
      const toggle = (open) => {
        if (open && !body.hasChildNodes()) body.append(...this.leafParts(row, place));
        body.hidden = !open;
        opener.setAttribute("aria-expanded", String(open));
      };
      opener.addEventListener("click", () => toggle(body.hidden));
      if (row === this.open || (this.open === null && kind === "selected")) toggle(true);
      return element("div", { class: `leaf ${kind}`, "data-row": row }, opener, body);
    }

    leafParts(row, place) {
      const { mined, settings } = this.model;
      const { columns, pool } = mined;
      const text = this.own.texts[place];
      const own = this.shade.checked ? this.tokensThere.get(row) : null;
      const facts = [
        words.measured(columns, settings, row),
        words.concluded(columns, row, this.own.conclusions[place]),
        `ended by ${pool.finishes[columns.finish[row]]}`,
        pool.verified ? (columns.flags[row] & FLAGS.verified ? "true in the lab" : "not true in the lab") : "",
        pool.gain && !Number.isNaN(columns.gain[row]) ? `gain ${short(columns.gain[row])} nats` : "",
      ];
      const dropped = words.whyDropped(this.model, row);
      return [
        element("p", { class: "facts" }, ...facts.filter(Boolean).map((fact) => foreign(fact, "span"))),
        dropped && element("p", { class: "note" }, dropped),
        text === "" ? element("p", { class: "note" }, "This path is empty: the student ended at once.") : null,
        own ? tokens.shadedText(text, own) : tokens.plainText(text),
      ].filter(Boolean);
    }

    /** Go to the next branch, or the one before. */
    step(by) {
      const sections = [...this.body.querySelectorAll(".branch")];
      if (!sections.length) return;
      this.branch = Math.min(Math.max(this.branch + by, 0), sections.length - 1);
      sections.forEach((section, place) => section.classList.toggle("here", place === this.branch));
      const heading = sections[this.branch].querySelector("h3");
      heading.focus({ preventScroll: true });
      heading.scrollIntoView({ block: "nearest" });
      announce(onOneLine(heading.textContent));
    }
  }

  function checkbox(text, checked, onchange) {
    const made = element("input", { type: "checkbox", checked, onchange });
    made.label = labelled(text, made);
    return made;
  }

  function folded(title, body) {
    return element("details", {}, element("summary", {}, onOneLine(title)), body);
  }

  function choiceList(choices, gold) {
    const rows = choices.map((text, place) => {
      const letter = String.fromCharCode(65 + place);
      const mark = letter === gold ? element("span", { class: "chip kept" }, "gold") : null;
      return element("li", {}, element("b", {}, `${letter} `), foreign(text), " ", mark);
    });
    return element("ul", { class: "choices" }, ...rows);
  }

  sertExplorer.tree = { Tree };
}
