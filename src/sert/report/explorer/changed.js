// The paths that come in, and that fall out, when rules are set otherwise than the run had them.
{
  const { funnel, words, numbers } = sertExplorer;
  const { element, choice, labelled } = sertExplorer.dom;
  const { fillPathRow } = sertExplorer.pathrow;
  const { VirtualList } = sertExplorer.list;

  class Changed {
    constructor(model, open) {
      Object.assign(this, { model, open, what: "kept" });
      const pick = choice(
        [
          ["kept", "kept paths"],
          ["selected", "selected paths"],
        ],
        { value: "kept", onchange: (value) => this.set(value) },
      );
      this.pick = pick;
      this.parts = [this.part("Come in"), this.part("Fall out")];
      this.note = element("p", { class: "note" });
      this.lists = element("div", { class: "halves" }, ...this.parts.map(({ element: each }) => each));
      this.element = element(
        "section",
        {},
        element("h2", {}, "What changes against the run"),
        labelled("Of", pick),
        this.note,
        this.lists,
      );
    }

    part(title) {
      const heading = element("h3", {}, title);
      const list = new VirtualList({
        label: title,
        height: 60,
        fill: (row, path) => this.fillRow(row, path),
        open: this.open,
      });
      const part = element("div", {}, heading, list.element);
      return { element: part, heading, list, title };
    }

    set(what) {
      this.what = this.pick.value = what;
      this.show();
    }

    /** Tell how many paths change, and list them. */
    show() {
      const { mined, now } = this.model;
      const { comeIn, fallOut } = funnel.changes(mined.asRun, now, this.what);
      [comeIn, fallOut].forEach((rows, place) => {
        const { heading, list, title, element: part } = this.parts[place];
        heading.textContent = `${title}: ${numbers.counted(rows.length, "paths")}`;
        part.hidden = !rows.length;
        list.show(rows);
      });
      const none = !comeIn.length && !fallOut.length;
      this.note.textContent = none ? `No ${this.what} path changes.` : "Enter, or a click, opens a path in its tree.";
    }

    fillRow(row, path) {
      const { header, mined, now } = this.model;
      const [was, is] = [mined.asRun, now].map((filtered) => words.standing(header, filtered, path).words);
      fillPathRow(row, path, { model: this.model, said: `${was} → ${is}` });
    }
  }

  sertExplorer.changed = { Changed };
}
