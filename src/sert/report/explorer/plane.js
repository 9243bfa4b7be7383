// The view of two measures: every path is a spot, and a rectangle that is drawn, or written as numbers, picks some.
{
  const { scatter, numbers, words, rules } = sertExplorer;
  const { element, choice, setOptions, labelled, button } = sertExplorer.dom;
  const { VirtualList } = sertExplorer.list;
  const { fillPathRow } = sertExplorer.pathrow;
  const { short, count, counted } = numbers;
  const FEW = 20000; // so many paths have larger spots
  const ENDS = ["x from", "x to", "y from", "y to"];

  class Plane {
    constructor(model, { open, showQuestions, changed }) {
      Object.assign(this, { model, open, changed, x: "length", y: "perplexity", shown: "all", brush: null });
      this.canvas = element("canvas", { role: "img" });
      this.box = element("div", { class: "brush", hidden: true });
      this.lines = element("div", { "aria-hidden": "true" });
      this.pad = element("div", { class: "pad" }, this.canvas, this.lines, this.box);
      this.xEnds = element("p", { class: "ends" });
      this.yEnds = element("p", { class: "ends upright" });
      this.tally = element("p", { class: "tally", role: "status" });
      const item = (row, path) =>
        fillPathRow(row, path, { model, said: words.standing(model.header, model.now, path).words });
      this.list = new VirtualList({ label: "Paths in the rectangle", height: 60, fill: item, open });
      this.goOn = button("Show their questions", showQuestions);
      this.element = element(
        "div",
        { class: "two wide-left" },
        element(
          "div",
          {},
          this.makeControls(),
          element("div", { class: "picture" }, this.yEnds, this.pad, this.xEnds),
          this.legend(),
        ),
        element("div", { class: "side" }, this.tally, this.goOn, this.list.element),
      );
      this.listen();
      model.addEventListener("arm", () => this.onArm());
      model.addEventListener("rules", () => this.refresh());
      new ResizeObserver(() => this.draw()).observe(this.pad);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    }

    makeControls() {
      const pick = (name) => (value) => this.set({ [name]: value, ...(name === "shown" ? {} : { brush: null }) });
      this.across = choice([], { value: "", onchange: pick("x") });
      this.up = choice([], { value: "", onchange: pick("y") });
      const shown = Object.entries(scatter.SHOWN).map(([name, [said]]) => [name, said]);
      this.which = choice(shown, { value: "all", onchange: pick("shown") });
      this.ends = ENDS.map((name) => {
        const made = element("input", {
          type: "number",
          step: "any",
          "aria-label": name,
          onchange: () => this.onWrite(),
        });
        return made;
      });
      this.clear = button("Clear", () => this.set({ brush: null }));
      const fields = ENDS.map((name, place) =>
        element("label", { class: "labelled" }, element("span", {}, name), this.ends[place]),
      );
      return element(
        "form",
        { class: "controls", onsubmit: (event) => event.preventDefault(), "aria-label": "What the plane shows" },
        labelled("Across", this.across),
        labelled("Up", this.up),
        labelled("Show", this.which),
        element("fieldset", { class: "ranges" }, element("legend", {}, "Rectangle"), ...fields, this.clear),
      );
    }

    legend() {
      const marks = [
        ["dropped", "dropped (below)"],
        ["kept", "kept"],
        ["selected", "selected (on top)"],
      ];
      this.missing = element("span", {});
      const keys = marks.flatMap(([name, said]) => [element("i", { class: `spot ${name}` }), ` ${said} `]);
      return element(
        "p",
        { class: "legend" },
        ...keys,
        this.missing,
        element("i", { class: "spot line" }),
        " limit of a rule",
      );
    }

    get address() {
      const usual = this.x === "length" && this.y === "perplexity";
      const brush = this.brush && this.brush.map((end) => (Number.isFinite(end) ? short(end, 6) : "")).join(",");
      return {
        x: usual ? null : this.x,
        y: usual ? null : this.y,
        shown: this.shown === "all" ? null : this.shown,
        brush,
      };
    }

    restore({ x, y, shown, brush }) {
      const known = (name) => name in scatter.MEASURES && (scatter.MEASURES[name].isThere?.(this.model) ?? true);
      this.x = known(x) ? x : "length";
      this.y = known(y) ? y : "perplexity";
      this.shown = shown in scatter.SHOWN ? shown : "all";
      const ends = (brush ?? "").split(",");
      this.brush = brush && ends.length === 4 ? this.rectangle(ends) : null;
      if (this.model.mined) this.pick();
    }

    /** A rectangle from four texts; an empty one is an open end, and null is returned where all are open. */
    rectangle(texts) {
      const open = [-Infinity, Infinity, -Infinity, Infinity];
      const ends = texts.map((text, place) =>
        text === "" || !Number.isFinite(Number(text)) ? open[place] : Number(text),
      );
      return ends.some(Number.isFinite) ? ends : null;
    }

    set(changed) {
      Object.assign(this, changed);
      this.pick();
      this.changed();
    }

    onWrite() {
      this.set({ brush: this.rectangle(this.ends.map((field) => field.value)) });
    }

    onArm() {
      this.element.hidden = !this.model.mined;
      this.brush = null;
    }

    /** Find the paths in the rectangle, mark them for the list of questions, and show all. */
    pick() {
      this.rows = this.brush ? scatter.within(this.model, this) : null;
      this.model.mark("brush", this.rows);
      this.refresh();
    }

    refresh() {
      if (!this.model.mined || this.element.closest("[hidden]")) return;
      const there = Object.entries(scatter.MEASURES).filter(([, { isThere }]) => !isThere || isThere(this.model));
      const options = there.map(([name, { words: said }]) => [name, said]);
      setOptions(this.across, options, this.x);
      setOptions(this.up, options, this.y);
      this.which.value = this.shown;
      this.rows = this.brush ? scatter.within(this.model, this) : null;
      this.ends.forEach((field, place) => {
        const end = this.brush?.[place];
        if (document.activeElement !== field) field.value = Number.isFinite(end) ? short(end, 6) : "";
      });
      const all = counted(this.model.mined.size, "paths");
      this.tally.textContent = this.rows
        ? `${count(this.rows.length)} of ${all} in the rectangle`
        : `${all}. Draw a rectangle to list the paths in it.`;
      this.goOn.hidden = this.clear.hidden = !this.rows;
      this.list.element.hidden = !this.rows?.length;
      this.list.show(this.rows ?? []);
      this.draw();
    }

    draw() {
      const { model, canvas } = this;
      const { clientWidth: width, clientHeight: height } = this.pad;
      if (!model.mined || !width) return;
      const ratio = Math.min(devicePixelRatio || 1, 2);
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      const size = Math.round((model.mined.size < FEW ? 4 : 2) * ratio);
      const { layers, missing } = scatter.spots(model, { ...this, width: canvas.width, height: canvas.height, size });
      const style = getComputedStyle(this.pad);
      const colours = ["--spot-dropped", "--spot-kept", "--spot-selected"].map((name) =>
        style.getPropertyValue(name).trim().split(" ").map(Number),
      );
      scatter.paint(canvas.getContext("2d"), layers, colours);
      this.missing.textContent = missing ? `(${counted(missing, "paths")} without a finite number are not drawn.)` : "";
      this.showAxes();
      this.showLimits();
      this.showBrush();
    }

    showAxes() {
      this.axes = [scatter.axis(this.model, this.x), scatter.axis(this.model, this.y)];
      const [across, up] = this.axes;
      const ends = ({ low, high, words: said }) =>
        [short(low), said, `${short(high)}`].map((text) => element("span", {}, text));
      this.xEnds.replaceChildren(...ends(across));
      this.yEnds.replaceChildren(...ends(up));
      this.canvas.setAttribute("aria-label", `All paths by ${across.words} (across) and ${up.words} (up)`);
    }

    /** Draw the limits of the rules that are on these axes. */
    showLimits() {
      const { settings, mined } = this.model;
      const limits = { ...settings.rules, ...rules.limitsOf(mined.columns, settings.rules) };
      const lines = [this.x, this.y].flatMap((name, side) =>
        scatter.limitsOf(name, limits).map((limit) => {
          const line = element("i", { class: side ? "limit up" : "limit across" });
          const share = this.axes[side].share(limit);
          line.style.setProperty(side ? "bottom" : "left", `${100 * share}%`);
          return line;
        }),
      );
      this.lines.replaceChildren(...lines);
    }

    showBrush() {
      this.box.hidden = !this.brush;
      if (!this.brush) return;
      const [across, up] = this.axes;
      const [left, right] = [across.share(this.brush[0]), across.share(this.brush[1])];
      const [bottom, top] = [up.share(this.brush[2]), up.share(this.brush[3])];
      this.layBox([left, right, 1 - top, 1 - bottom]);
    }

    layBox([left, right, top, bottom]) {
      const percents = { left, top, width: right - left, height: bottom - top };
      for (const [name, share] of Object.entries(percents)) this.box.style.setProperty(name, `${100 * share}%`);
      this.box.hidden = false;
    }

    listen() {
      let from = null;
      const placeOf = ({ clientX, clientY }) => {
        const { left, top, width, height } = this.pad.getBoundingClientRect();
        return [clientX - left, clientY - top].map((at, side) => Math.min(1, Math.max(0, at / [width, height][side])));
      };
      const corners = (one, other) => [0, 1].flatMap((side) => [one[side], other[side]].sort((a, b) => a - b));
      this.pad.addEventListener("pointerdown", (event) => {
        from = placeOf(event);
        this.pad.setPointerCapture(event.pointerId);
        event.preventDefault();
      });
      this.pad.addEventListener("pointermove", (event) => from && this.layBox(corners(from, placeOf(event))));
      this.pad.addEventListener("pointercancel", () => (from = null));
      this.pad.addEventListener("pointerup", (event) => {
        if (!from) return;
        const [left, right, top, bottom] = corners(from, placeOf(event));
        from = null;
        this.set({
          brush: right - left < 0.005 && bottom - top < 0.005 ? null : this.valuesOf({ left, right, top, bottom }),
        });
      });
    }

    /** The values at the sides of a drawn rectangle; at the edge of the picture it is open, since more lies beyond. */
    valuesOf({ left, right, top, bottom }) {
      const [across, up] = this.axes;
      const at = (along, place, edge, open) => (place === edge ? open : along.value(place));
      return [
        at(across, left, 0, -Infinity),
        at(across, right, 1, Infinity),
        at(up, 1 - bottom, 0, -Infinity),
        at(up, 1 - top, 1, Infinity),
      ];
    }
  }

  sertExplorer.plane = { Plane };
}
