// Which arm of a grid is shown: a choice for each of its sides that differs within the file.
{
  const { element, choice, setOptions, labelled } = sertExplorer.dom;
  const SIDES = ["run", "task", "student", "seed", "variant"];

  /** The arm that has this value on one side, and otherwise is most like another one. */
  function nearestArm(arms, like, side, value) {
    const alike = (arm) => SIDES.filter((each) => arm[each] === like[each]).length;
    let best = -1;
    arms.forEach((arm, place) => {
      if (String(arm[side]) === value && (best < 0 || alike(arm) > alike(arms[best]))) best = place;
    });
    return best;
  }

  /** The number of the arm that an address names, or 0. */
  function armNamed(arms, shown) {
    const named = SIDES.filter((side) => shown[side] !== null);
    const found = arms.findIndex((arm) => named.every((side) => String(arm[side]) === shown[side]));
    return Math.max(found, 0);
  }

  class Arms {
    constructor(model, pick) {
      Object.assign(this, { model, pick });
      const { arms } = model.header;
      this.sides = SIDES.filter((side) => new Set(arms.map((arm) => arm[side])).size > 1);
      this.choices = this.sides.map((side) => choice([], { value: "", onchange: (value) => this.onPick(side, value) }));
      this.rounds = choice([], { value: "", onchange: (value) => pick(model.arm, { round: Number(value) }) });
      const labels = this.choices.map((made, place) => labelled(capital(this.sides[place]), made));
      this.roundLabel = labelled("Round", this.rounds);
      this.element = element(
        "div",
        { class: "controls arms", role: "group", "aria-label": "What is shown of this file" },
        ...labels,
        this.roundLabel,
      );
      model.addEventListener("arm", () => this.show());
    }

    /** What the address keeps of the arm. */
    get address() {
      const arm = this.model.header.arms[this.model.arm];
      const pairs = this.sides.map((side) => [side, arm[side]]);
      const last = arm.rounds.length - 1;
      return { ...Object.fromEntries(pairs), round: this.model.round === last || last < 0 ? null : this.model.round };
    }

    onPick(side, value) {
      const { arms } = this.model.header;
      this.pick(nearestArm(arms, arms[this.model.arm], side, value), {});
    }

    show() {
      const { arms } = this.model.header;
      const arm = arms[this.model.arm];
      this.choices.forEach((made, place) => {
        const side = this.sides[place];
        const values = [...new Set(arms.map((each) => each[side]))];
        const words = (value) =>
          side === "run" ? sertExplorer.words.runName(this.model.header, value) : String(value);
        setOptions(
          made,
          values.map((value) => [String(value), words(value)]),
          String(arm[side]),
        );
      });
      this.roundLabel.hidden = arm.rounds.length < 2;
      const rounds = arm.rounds.map((_, place) => [String(place), `${place + 1} of ${arm.rounds.length}`]);
      setOptions(this.rounds, rounds, String(this.model.round));
      this.element.hidden = !this.sides.length && this.roundLabel.hidden;
    }
  }

  const capital = (word) => word[0].toUpperCase() + word.slice(1);

  sertExplorer.arms = { Arms, armNamed };
}
