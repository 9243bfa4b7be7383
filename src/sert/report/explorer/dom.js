// Elements, made without any HTML: texts become text nodes, and what is not ours is isolated and made visible.
{
  const { visible, onOneLine } = sertExplorer.visible;
  const SVG = "http://www.w3.org/2000/svg";

  function fill(made, properties, children) {
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false)
        made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  }

  /** Make an element: attributes, handlers under `on...`, then its children; texts among them are our own. */
  const element = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);

  /** The same of SVG. */
  const drawn = (tag, properties = {}, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

  /** A text of data or of a model, as it is: isolated, in its own direction, control characters written out. */
  const foreign = (text, tag = "bdi", properties = {}) =>
    element(
      tag,
      { dir: "auto", ...properties, class: `foreign ${properties.class ?? ""}`.trim() },
      visible(String(text)),
    );

  /** The same on one line. */
  const foreignLine = (text, tag = "bdi", properties = {}) => foreign(onOneLine(String(text)), tag, properties);

  let names = 0;

  /** A name for an element that another one refers to. */
  const freshId = () => `e${(names += 1)}`;

  /** A control with its label in front. */
  function labelled(text, control) {
    control.id ||= freshId();
    return element("label", { class: "labelled", for: control.id }, element("span", {}, text), control);
  }

  /** A selection of one of several: pairs of value and words. */
  function choice(options, { value, onchange, label = null }) {
    const made = element("select", { onchange: () => onchange(made.value), "aria-label": label });
    setOptions(made, options, value);
    return made;
  }

  /** Replace what a selection offers. */
  function setOptions(made, options, value) {
    made.replaceChildren(...options.map(([name, words]) => element("option", { value: name }, onOneLine(words))));
    made.value = value;
  }

  /** A button. */
  const button = (text, onclick, properties = {}) =>
    element("button", { type: "button", onclick, ...properties }, text);

  /** Say something to those who cannot see the page change. */
  function announce(text) {
    document.getElementById("said").textContent = text;
  }

  /** On a narrow window, where what was chosen stands below its list, go there. */
  function showBelow(element) {
    if (matchMedia("(max-width: 56rem)").matches) element.scrollIntoView({ block: "start" });
  }

  /** A button that copies a text, and a field that shows it, from which it can be copied by hand. */
  function copyable(title, label, textOf) {
    const field = element("pre", { class: "copy", tabindex: "0", role: "region", "aria-label": title });
    const copy = button(`Copy ${label}`, async () => {
      try {
        await navigator.clipboard.writeText(textOf());
        announce(`${title} copied.`);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(field);
        field.focus();
        copy.textContent = "Marked: press Ctrl+C";
      }
      setTimeout(() => (copy.textContent = `Copy ${label}`), 2000);
    });
    const show = () => (field.textContent = visible(textOf()));
    return { element: element("div", { class: "copyable" }, element("h3", {}, title), field, copy), show };
  }

  sertExplorer.dom = {
    element,
    drawn,
    foreign,
    foreignLine,
    freshId,
    labelled,
    choice,
    setOptions,
    button,
    announce,
    showBelow,
    copyable,
  };
}
