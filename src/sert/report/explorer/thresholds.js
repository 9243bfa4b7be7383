// The view of rules: a control for each, what it leaves, its measure as a histogram, and the command of the settings.
{
  const { rules, funnel, numbers, command, words } = sertExplorer;
  const { element, choice, labelled, button, copyable } = sertExplorer.dom;
  const { Chart } = sertExplorer.chart;
  const { Control } = sertExplorer.controls;
  const { Changed } = sertExplorer.changed;
  const { count, counted, percent } = numbers;
  const { RULES } = rules;
  const CHARTS = {
    length: { name: "Length", measure: "num_tokens", limits: ["min_tokens"], whole: true },
    repetition: { name: "Rep-2", measure: "rep_2", limits: ["max_rep_2"] },
    perplexity: {
      name: "Perplexity",
      measure: "perplexity",
      limits: ["min_perplexity", "max_perplexity"],
      logarithmic: true,
    },
  };
  const MORE = {
    "rules.unit": [
      "Length and rep-2 in",
      [
        ["tokens", "tokens of the student"],
        ["words", "words"],
      ],
    ],
    "rules.perplexity_over": [
      "Perplexity of",
      [
        ["path", "the whole path"],
        ["continuation", "what follows the first token"],
      ],
    ],
    "selection.order": [
      "Select",
      [
        ["rep_2", "the lowest rep-2"],
        ["mean_logprob", "the lowest perplexity"],
        ["random", "any one, by lot"],
        ["gain", "the highest gain"],
      ],
    ],
  };

  function legend() {
    const mark = (name) => element("i", { class: `spot ${name}` });
    return element(
      "p",
      { class: "legend" },
      mark("bar-kept"),
      " kept ",
      mark("bar-others"),
      " dropped ",
      mark("bar-limit"),
      " limit",
    );
  }

  class Thresholds {
    constructor(model, open) {
      this.model = model;
      this.pending = null;
      const change = (changed) => this.later(changed);
      const title = (name, place) => words.reasonName(model.header, place + 1);
      this.controls = RULES.map((name, place) => new Control(name, { title: title(name, place), model, change }));
      this.charts = Object.fromEntries(Object.entries(CHARTS).map(([name, chart]) => [name, new Chart(chart)]));
      this.steps = new Map();
      this.changedPaths = new Changed(model, open);
      this.makeMore();
      const about = () => ({ defaults: model.header.defaults, mined: model.mined.pool.path, run: model.ofRun });
      this.command = copyable("Command", "command", () => command.command(model.settings, about()));
      this.toml = copyable("TOML", "TOML", () => command.tables(model.settings, about()));
      this.element = this.build();
      model.addEventListener("arm", () => this.onArm());
      model.addEventListener("rules", () => this.refresh());
    }

    build() {
      const back = button("Back to the run's rules", () => this.model.change(structuredClone(this.model.ofRun)));
      const papers = button("The paper's rules", () => this.model.change(structuredClone(this.model.header.defaults)));
      this.state = element("p", { class: "state", role: "status" });
      this.notes = element("div", {});
      this.table = element("div", { class: "rules" });
      this.gainNote = element(
        "p",
        { class: "note" },
        "Add --student with the student that mined these paths: it scores them.",
      );
      const byHand = element("div", { class: "halves" }, this.command.element, this.toml.element);
      return element(
        "div",
        { class: "one" },
        element("div", { class: "options" }, this.state, back, papers),
        this.notes,
        legend(),
        this.table,
        this.more,
        element("section", {}, element("h2", {}, "The same filter by hand"), byHand, this.gainNote),
        this.changedPaths.element,
      );
    }

    makeMore() {
      this.choices = Object.entries(MORE).map(([path, [label, options]]) => {
        const [section, name] = path.split(".");
        const made = choice(options, {
          value: options[0][0],
          onchange: (value) => this.later({ [section]: { [name]: value } }),
        });
        return { path, section, name, made, label: labelled(label, made) };
      });
      this.agreeing = element("input", {
        type: "checkbox",
        onchange: () => this.later({ selection: { only_agreeing: this.agreeing.checked } }),
      });
      const agreeing = labelled("Only paths with the gold answer", this.agreeing);
      this.more = element("div", { class: "controls" }, ...this.choices.map(({ label }) => label), agreeing);
    }

    /** Change the settings with the next picture, so that a slider that is dragged computes once a picture. */
    later({ rules: changed = {}, selection = {} }) {
      if (!this.pending) {
        this.pending = { rules: {}, selection: {} };
        requestAnimationFrame(() => {
          const settings = this.pending;
          this.pending = null;
          this.model.change(settings);
        });
      }
      Object.assign(this.pending.rules, changed);
      Object.assign(this.pending.selection, selection);
    }

    onArm() {
      this.element.hidden = !this.model.mined;
      if (!this.model.mined) return;
      this.controls.forEach((control) => control.lay());
      const { pool } = this.model.mined;
      const gain = this.choices.find(({ name }) => name === "order").made.querySelector("[value=gain]");
      gain.disabled = !pool.gain;
      this.notes.replaceChildren(...this.notesOf().map((text) => element("p", { class: "note" }, text)));
    }

    notesOf() {
      const { mined, header } = this.model;
      const { rejected = 0, outrun = 0 } = mined.pool.cut_short;
      const notes = [];
      if (rejected + outrun) {
        notes.push(
          `${counted(rejected + outrun, "paths")} were cut short while mining, under the run's rules or selection; ` +
            "other rules cannot judge them. Mine with keep_all to compare rules.",
        );
      }
      if (header.sampled) notes.push("This file holds a sample of the questions; the command filters all of them.");
      if (mined.differences) {
        notes.push(
          `Of ${counted(mined.differences, "paths")} the run wrote down another verdict than its rules give here.`,
        );
      }
      if (mined.view.own)
        notes.push(
          "Nobody filtered these paths yet: “the run's rules” are those that mining foresaw, or else the paper's.",
        );
      return notes;
    }

    refresh() {
      if (!this.model.mined || this.element.closest("[hidden]")) return;
      const { settings, mined, now } = this.model;
      this.controls.forEach((control) => control.show());
      this.choices.forEach(({ section, name, made }) => (made.value = settings[section][name]));
      this.agreeing.checked = settings.selection.only_agreeing;
      this.state.textContent = this.model.isChanged
        ? "The rules differ from those of the run."
        : "The rules of the run.";
      this.showSteps(funnel.funnel(now, (name) => rules.isOn(name, settings)));
      const measures = rules.measuresOf(mined.columns, settings.rules);
      const limits = { ...settings.rules, ...rules.limitsOf(mined.columns, settings.rules) };
      for (const [name, { measure, limits: names }] of Object.entries(CHARTS)) {
        this.charts[name].show(
          measures[measure],
          now.reasons,
          names.map((each) => limits[each] ?? null),
        );
      }
      this.changedPaths.show();
      this.gainNote.hidden = settings.selection.order !== "gain";
      this.command.show();
      this.toml.show();
    }

    showSteps(found) {
      const byStep = new Map(found.map((each) => [each.step, each]));
      const total = found[0].remaining;
      if (!this.steps.size) this.makeSteps();
      for (const [step, { row, remains, bar, size, dropped }] of this.steps) {
        const here = byStep.get(step);
        const isRule = RULES.includes(step);
        row.hidden = !here && !isRule;
        remains.hidden = !here;
        if (here) {
          bar.style.setProperty("width", `${total ? (100 * here.remaining) / total : 0}%`);
          size.textContent = `${count(here.remaining)} (${percent(here.remaining, total)})`;
          dropped.textContent = here.dropped ? this.droppedWords(step, here.dropped) : "";
        }
        row.classList.toggle("off", isRule && !rules.isOn(step, this.model.settings));
      }
    }

    droppedWords(step, number) {
      return step === "selected" ? `${count(number)} kept, not selected` : `−${count(number)}`;
    }

    makeSteps() {
      for (const step of ["mined", ...RULES, "outrun", "rejected", "selected"]) {
        const control = this.controls.find(({ name }) => name === step);
        const bar = element("i");
        const [size, dropped] = [element("b", {}), element("span", { class: "soft" })];
        const name = control ? control.switch : element("span", { class: "step" }, this.stepName(step));
        const remains = element(
          "div",
          { class: "remains" },
          element("span", { class: "bar", "aria-hidden": "true" }, bar),
          size,
          " ",
          dropped,
        );
        const middle = element(
          "div",
          { class: "fields" },
          ...(control?.fields ?? []),
          this.charts[step]?.element ?? null,
        );
        const row = element(
          "div",
          { class: "rule", "data-step": step, role: "group", "aria-label": this.stepName(step) },
          name,
          middle,
          remains,
        );
        this.steps.set(step, { row, remains, bar, size, dropped });
        this.table.append(row);
      }
    }

    stepName(step) {
      const { max_per_question: most = 1 } = this.model.settings.selection;
      if (step === "selected") return most > 1 ? `selected, at most ${most} a question` : "selected, one a question";
      return this.model.header.rule_names[step] ?? step;
    }
  }

  sertExplorer.thresholds = { Thresholds };
}
