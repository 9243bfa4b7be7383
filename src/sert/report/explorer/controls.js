// The controls of the rules: a switch for each, and a slider with a field for each limit.
{
  const { rules, permalink, numbers } = sertExplorer;
  const { element, choice, setOptions } = sertExplorer.dom;
  const { SETTINGS, RULES } = rules;
  const { sortedFinite, percentile, short } = numbers;
  const STEPS = 1000; // of a slider on a scale of logarithms

  /** What sliders stand for: `at` gives the value of a place, `of` the place of a value. */
  const SCALES = {
    linear: (top, step) => ({ max: top, step, at: (place) => place, of: (value) => value }),
    logarithmic: (top) => ({
      max: STEPS,
      step: 1,
      at: (place) => (place === 0 ? 0 : Number(short(Math.exp((place / STEPS) * Math.log(top)), 3))),
      of: (value) => (value <= 1 ? 0 : Math.min(STEPS, Math.round((STEPS * Math.log(value)) / Math.log(top)))),
    }),
  };
  const LIMITS = {
    length: { label: "fewest", measure: "num_tokens", scale: (top) => SCALES.linear(Math.max(1, Math.ceil(top)), 1) },
    repetition: { label: "highest rep-2", measure: "rep_2", scale: () => SCALES.linear(1, 0.005) },
    perplexity: { label: "lowest", measure: "perplexity", scale: (top) => SCALES.logarithmic(Math.max(2, top)) },
    high_perplexity: { label: "highest", measure: "perplexity", scale: (top) => SCALES.logarithmic(Math.max(2, top)) },
  };
  const UNFINISHED = [
    ["keep", "keep them as they are"],
    ["trim", "trim them to their last whole sentence"],
    ["drop", "drop them"],
  ];

  /** One rule's controls. `change` is called with what changes of the settings. */
  class Control {
    constructor(name, { title, model, change }) {
      [this.setting, this.off] = SETTINGS[name];
      Object.assign(this, { name, title, model, change, before: undefined });
      this.box = element("input", { type: "checkbox", onchange: () => this.onSwitch() });
      this.switch = element("label", { class: "switch" }, this.box, element("span", {}, title));
      this.fields = this.makeFields();
    }

    makeFields() {
      if (this.name === "unfinished") return [this.makeChoice()];
      if (!(this.name in LIMITS)) return [];
      const { label } = LIMITS[this.name];
      const named = `${this.title}: ${label}`;
      this.slider = element("input", { type: "range", min: "0", "aria-label": named, oninput: () => this.onSlide() });
      this.field = element("input", {
        type: "text",
        inputmode: "decimal",
        size: "6",
        "aria-label": named,
        onchange: () => this.onWrite(),
      });
      this.wrong = element("p", { class: "wrong", role: "alert" });
      return [element("span", { class: "soft" }, label), this.slider, this.field, this.wrong];
    }

    makeChoice() {
      this.choice = choice(UNFINISHED, { value: "keep", label: this.title, onchange: (value) => this.set(value) });
      return this.choice;
    }

    /** Set the value; a rule that is set is asked. */
    set(value) {
      const { rules: asked } = this.model.settings.selection;
      const selection = asked.includes(this.name)
        ? {}
        : { rules: RULES.filter((each) => each === this.name || asked.includes(each)) };
      this.change({ rules: { [this.setting]: value }, selection });
    }

    onSwitch() {
      if (!this.box.checked) {
        this.before = this.value;
        this.set(this.off);
      } else this.set(this.usual());
    }

    /** The value of a rule that is switched on: what it was before, or in the run, or in the paper; else a mild one. */
    usual() {
      const known = [this.before, this.model.ofRun.rules[this.setting], this.model.header.defaults.rules[this.setting]];
      const found = known.find((value) => value !== undefined && value !== null && value !== this.off);
      if (found !== undefined) return found;
      if (this.name === "unfinished") return "drop";
      return typeof this.off === "boolean" ? true : Number(short(percentile(this.sorted(), 95) ?? 100, 3));
    }

    sorted() {
      return sortedFinite(
        rules.measuresOf(this.model.mined.columns, this.model.settings.rules)[LIMITS[this.name].measure],
      );
    }

    get value() {
      return this.model.settings.rules[this.setting] ?? this.off;
    }

    onSlide() {
      this.set(this.scale.at(Number(this.slider.value)));
    }

    onWrite() {
      const value = this.read(this.field.value.trim());
      this.wrong.textContent = value === undefined ? this.refusal() : "";
      this.field.setAttribute("aria-invalid", String(value === undefined));
      if (value !== undefined) this.set(value);
    }

    read(text) {
      if (text === "") return this.off;
      const value = /^p/i.test(text) ? text.toLowerCase() : Number(text);
      if (typeof value === "string" && !this.model.mined.pool.percentiles) return undefined;
      return permalink.ALLOWED[`rules.${this.setting}`](value) ? value : undefined;
    }

    refusal() {
      if (this.name === "length") return "Give a whole number, 0 or more.";
      if (this.name === "repetition") return "Give a share from 0 to 1, such as 0.2.";
      const percentiles = this.model.mined.pool.percentiles;
      return percentiles
        ? "Give a number of 0 or more, or a percentile of the mined paths, from p0 to p100."
        : "Give a number of 0 or more. Percentiles cannot be told of these paths: not all are here as they ended.";
    }

    /** Lay the slider out for the paths that are there. */
    lay() {
      this.before = undefined;
      if (!this.slider) return;
      const sorted = this.sorted();
      this.scale = LIMITS[this.name].scale(sorted.length ? percentile(sorted, 99.5) : 1);
      this.slider.max = this.scale.max;
      this.slider.step = this.scale.step;
    }

    /** Show the settings as they are now; a field in which one writes is left alone. */
    show() {
      const { settings, mined } = this.model;
      this.box.checked = rules.isOn(this.name, settings);
      if (this.choice) setOptions(this.choice, UNFINISHED, this.value);
      if (!this.slider) return;
      const limit = rules.limitsOf(mined.columns, settings.rules)[this.setting] ?? this.value;
      const place = limit === null ? this.scale.max : this.scale.of(limit);
      if (Number(this.slider.value) !== place && document.activeElement !== this.slider) this.slider.value = place;
      this.slider.setAttribute("aria-valuetext", this.value === null ? "no limit" : String(this.value));
      if (document.activeElement === this.field) return;
      this.field.value = this.value === null ? "" : String(this.value);
      this.field.setAttribute("aria-invalid", "false");
      this.wrong.textContent = "";
    }
  }

  sertExplorer.controls = { Control };
}
