// A list of any length of which only the rows in sight are in the page.
{
  const { element, freshId } = sertExplorer.dom;
  const BEYOND = 6; // rows drawn above and below what is in sight

  class VirtualList {
    /**
     * @param label What screen readers call it.
     * @param height Of a row, in pixels; that of `.row` in the style.
     * @param fill Fills the element of a row with an item.
     * @param choose Is called with the item that becomes the current one.
     * @param open Is called with an item that is clicked, or current when Enter is pressed.
     */
    constructor({ label, height, fill, choose = () => {}, open = () => {} }) {
      Object.assign(this, { height, fill, choose, open, items: [], current: -1, rows: new Map() });
      this.space = element("div", { class: "space", role: "presentation" });
      this.element = element(
        "div",
        { class: "list", role: "listbox", tabindex: "0", "aria-label": label, onscroll: () => this.draw() },
        this.space,
      );
      this.element.addEventListener("keydown", (event) => this.press(event));
      this.space.addEventListener("click", (event) => this.click(event));
      new ResizeObserver(() => this.draw()).observe(this.element);
    }

    /** Show these items; the one that was current stays so where it is among them. */
    show(items, current = this.items[this.current]) {
      this.items = items;
      this.current = items.indexOf(current);
      this.space.style.setProperty("height", `${items.length * this.height}px`);
      this.redraw();
    }

    /** Draw the rows in sight again, with what they show now. */
    redraw() {
      for (const row of this.rows.values()) row.remove();
      this.rows.clear();
      this.draw();
    }

    draw() {
      const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - BEYOND);
      const shown = Math.ceil(this.element.clientHeight / this.height) + 2 * BEYOND;
      const last = this.element.clientHeight ? Math.min(this.items.length, first + shown) : first;
      for (const [place, row] of this.rows) {
        if (place >= first && place < last) continue;
        row.remove();
        this.rows.delete(place);
      }
      for (let place = first; place < last; place += 1) if (!this.rows.has(place)) this.add(place);
      this.mark();
    }

    add(place) {
      const row = element("div", {
        class: "row",
        role: "option",
        id: freshId(),
        "aria-posinset": place + 1,
        "aria-setsize": this.items.length,
        "data-place": place,
      });
      row.style.setProperty("top", `${place * this.height}px`);
      this.fill(row, this.items[place]);
      this.rows.set(place, row);
      const after = [...this.space.children].find((other) => Number(other.dataset.place) > place) ?? null;
      this.space.insertBefore(row, after);
    }

    mark() {
      for (const [place, row] of this.rows) row.setAttribute("aria-selected", String(place === this.current));
      const row = this.rows.get(this.current);
      if (row) this.element.setAttribute("aria-activedescendant", row.id);
      else this.element.removeAttribute("aria-activedescendant");
    }

    /** Make a place the current one, bring it into sight and choose its item. */
    go(place) {
      if (!this.items.length) return;
      this.current = Math.min(Math.max(place, 0), this.items.length - 1);
      this.reveal();
      this.choose(this.items[this.current]);
    }

    /** Mark an item as the current one without choosing it. */
    point(item) {
      this.current = this.items.indexOf(item);
      this.reveal();
    }

    reveal() {
      const top = this.current * this.height;
      const { scrollTop, clientHeight } = this.element;
      if (this.current >= 0 && clientHeight) {
        if (top < scrollTop) this.element.scrollTop = top;
        if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
      }
      this.draw();
    }

    press(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (event.key in steps) this.go(this.current + steps[event.key]);
      else if (event.key === "Enter" && this.current >= 0) this.open(this.items[this.current]);
      else return;
      event.preventDefault();
    }

    click(event) {
      const row = event.target.closest(".row");
      if (!row) return;
      this.go(Number(row.dataset.place));
      this.open(this.items[this.current]);
    }
  }

  sertExplorer.list = { VirtualList };
}
