// The page as a whole: it opens the data, makes the views, and keeps the address and the keys.
{
  const { data, permalink, keys } = sertExplorer;
  const { element, button, announce } = sertExplorer.dom;
  const { onOneLine } = sertExplorer.visible;
  const { counted } = sertExplorer.numbers;
  const VIEWS = { questions: "Questions", rules: "Rules", plane: "Plane", compare: "Before and after" };
  const SHOWN = [
    ..."view run task student seed variant round q p kind reason order find only".split(" "),
    ..."x y shown brush before after count group t".split(" "),
  ];
  const PATIENCE = 300; // milliseconds until the address follows

  const byId = (id) => document.getElementById(id);

  class App {
    constructor(header) {
      this.header = header;
      this.view = "questions";
      this.model = new sertExplorer.model.Model(header);
      const changed = () => this.keepAddress();
      const open = (row) => this.open(row);
      this.arms = new sertExplorer.arms.Arms(this.model, (arm, options) => this.pick(arm, options));
      this.views = {
        questions: new sertExplorer.questions.Questions(this.model, changed),
        rules: new sertExplorer.thresholds.Thresholds(this.model, open),
        plane: new sertExplorer.plane.Plane(this.model, { open, changed, showQuestions: () => this.showBrushed() }),
        compare: new sertExplorer.compare.Compare(this.model, changed),
      };
      this.model.addEventListener("rules", changed);
      this.model.addEventListener("arm", () => this.showFacts());
    }

    /** Put the views into the page, and show what the address says. */
    async start() {
      for (const [name, view] of Object.entries(this.views)) byId(name).append(view.element);
      byId("arms").append(this.arms.element);
      this.tabs = Object.entries(VIEWS).map(([name, words]) =>
        button(words, () => this.show(name), { "data-view": name }),
      );
      byId("views").append(
        ...this.tabs,
        button("Keys", () => this.help(), { "aria-haspopup": "dialog" }),
      );
      this.bindKeys();
      document.title = onOneLine(`${this.header.runs.map(({ name }) => name).join(" and ")}: paths`);
      byId("name").textContent = onOneLine(this.header.runs.map(({ name }) => name).join(" and "));
      await this.follow();
      byId("loading").hidden = true;
      byId("explorer").hidden = false;
      this.show(this.view);
      addEventListener(
        "hashchange",
        () => location.hash !== this.written && this.follow().then(() => this.show(this.view)),
      );
    }

    /** Show what the address says. */
    async follow() {
      const { arms } = this.header;
      const { shown } = permalink.read(location.hash, SHOWN, { rules: {}, selection: {} });
      const round = shown.round === null ? null : Number(shown.round);
      const settings = (ofRun) => permalink.read(location.hash, SHOWN, ofRun).settings;
      this.following = true;
      await this.model.pick(sertExplorer.arms.armNamed(arms, shown), { round, settings });
      this.view = shown.view in VIEWS ? shown.view : "questions";
      this.hideOthers();
      this.views.plane.restore(shown);
      this.views.questions.restore(shown);
      await this.views.compare.restore(shown);
      this.following = false;
      this.written = location.hash;
    }

    async pick(arm, options) {
      await this.model.pick(arm, options);
      this.show(this.view);
      announce("Another part of the file is shown.");
    }

    hideOthers() {
      for (const name of Object.keys(VIEWS)) byId(name).hidden = name !== this.view;
      for (const tab of this.tabs) {
        if (tab.dataset.view === this.view) tab.setAttribute("aria-current", "page");
        else tab.removeAttribute("aria-current");
      }
    }

    show(name) {
      if (name !== this.view) scrollTo(0, 0);
      this.view = name;
      this.hideOthers();
      const needsPaths = name !== "compare" && !this.model.mined;
      byId("nothing").hidden = !needsPaths;
      this.views[name].refresh();
      this.keepAddress();
    }

    /** Show a path in the tree of its question. */
    open(row) {
      const { questions } = this.views;
      Object.assign(questions, { kind: "all", reason: null });
      questions.search.value = "";
      questions.look();
      questions.setSelectedOnly(false);
      this.show("questions");
      questions.choose(this.model.numberOf(row), row);
      questions.list.element.focus();
    }

    showBrushed() {
      this.views.questions.kind = "brushed";
      this.show("questions");
    }

    showFacts() {
      const { header, model } = this;
      const arm = header.arms[model.arm];
      const facts = [`student ${arm.student}`, `seed ${arm.seed}`, `task ${arm.task}`];
      if (arm.variant !== "main") facts.push(`variant ${arm.variant}`);
      if (model.mined)
        facts.push(counted(model.mined.pool.questions, "questions"), counted(model.mined.pool.paths, "paths"));
      if (header.sampled) facts.push(`a sample of ${counted(header.sampled.questions, "questions")}`);
      byId("facts").replaceChildren(...facts.map((fact) => sertExplorer.dom.foreignLine(fact, "span")));
    }

    keepAddress() {
      if (this.following) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.writeAddress(), PATIENCE);
    }

    writeAddress() {
      const { model, views } = this;
      const view = { view: this.view === "questions" ? null : this.view };
      const parts = [view, this.arms.address, views.compare.address];
      if (model.mined) parts.push(views.questions.address, views.plane.address);
      const none = { rules: {}, selection: {} };
      const [settings, ofRun] = model.mined ? [model.settings, model.ofRun] : [none, none];
      this.written = permalink.write(Object.assign({}, ...parts), settings, ofRun);
      history.replaceState(null, "", this.written);
      this.written = location.hash;
    }

    get stepped() {
      return this.view === "compare" ? this.views.compare : this.views.questions;
    }

    bindKeys() {
      const { questions } = this.views;
      const inQuestions = (act) => () => {
        if (!this.model.mined) return;
        if (this.view !== "questions") this.show("questions");
        act();
      };
      const step = (by) => () =>
        this.view === "compare" ? this.views.compare.step(by) : inQuestions(() => questions.step(by))();
      keys.bind("j", "next question", step(1));
      keys.bind("k", "question before", step(-1));
      keys.bind(
        "]",
        "next branch of the question",
        inQuestions(() => questions.tree.step(1)),
      );
      keys.bind(
        "[",
        "branch before",
        inQuestions(() => questions.tree.step(-1)),
      );
      keys.bind(
        "s",
        "selected paths only, and back",
        inQuestions(() => questions.setSelectedOnly(!questions.tree.selectedOnly)),
      );
      keys.bind(
        "r",
        "paths of the next reason, and behind the last one all",
        inQuestions(() => questions.cycleReasons()),
      );
      keys.bind(
        "/",
        "search in questions and paths",
        inQuestions(() => questions.search.focus()),
      );
      Object.keys(VIEWS).forEach((name, place) =>
        keys.bind(String(place + 1), `view: ${VIEWS[name]}`, () => this.show(name)),
      );
      keys.bind("?", "these keys", () => this.help());
    }

    help() {
      const dialog = byId("help");
      byId("keys").replaceChildren(keys.help());
      dialog.showModal();
    }
  }

  /** Say in words why nothing is shown. */
  function fail(text) {
    byId("loading").hidden = true;
    const said = byId("failure");
    said.hidden = false;
    said.textContent = onOneLine(text);
  }

  async function main() {
    const lacking = ["DecompressionStream", "Worker", "ResizeObserver"].filter((name) => !(name in globalThis));
    if (lacking.length) {
      fail(
        `This browser lacks ${lacking.join(" and ")}, with which the data in this file are read. ` +
          "Open it in a browser of 2023 or later.",
      );
      return;
    }
    try {
      sertExplorer.app = new App(await data.header());
      await sertExplorer.app.start();
      requestAnimationFrame(() => {
        performance.mark("ready");
        document.documentElement.dataset.ready = "true";
      });
    } catch (error) {
      fail(`This file cannot be shown: ${error.message ?? error}`);
      console.error(error);
    }
  }

  addEventListener("unhandledrejection", ({ reason }) =>
    fail(`A part of this file cannot be shown: ${reason?.message ?? reason}`),
  );
  byId("close").addEventListener("click", () => byId("help").close());
  main();
}
