// Keys of the whole page. They are left to fields in which one writes, and to the browser with Ctrl, Alt or Meta.
{
  const { element } = sertExplorer.dom;
  const bound = new Map();
  const WRITING = "input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]";

  /** Bind a key to what it does, with words for the help; keys are shown in the order in which they are bound. */
  function bind(key, words, act) {
    bound.set(key, { words, act });
  }

  function press(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (target instanceof Element && target.matches(WRITING)) return;
    if (document.querySelector("dialog[open]") || !bound.has(key)) return;
    event.preventDefault();
    bound.get(key).act();
  }

  /** The keys and what they do, as a list of definitions. */
  function help() {
    const rows = [...bound].map(([key, { words }]) =>
      element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, words)),
    );
    return element("dl", { class: "keys" }, ...rows);
  }

  document.addEventListener("keydown", press);
  sertExplorer.keys = { bind, help };
}
