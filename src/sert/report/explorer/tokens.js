// The text of a path: shaded token by token by how probable the student found each, with the number on hover or focus.
{
  const { element, foreign, button } = sertExplorer.dom;
  const { visible, TO_CUT_AT } = sertExplorer.visible;
  const { decode, numbers } = sertExplorer;
  /** From which probability on a token has which shade; below all of them it has the last one. */
  const SHADES = [0.9, 0.5, 0.2, 0.05, 0.01];

  function shadeOf(logprob) {
    const probability = Math.exp(logprob);
    const place = SHADES.findIndex((least) => probability >= least);
    return place < 0 ? SHADES.length : place;
  }

  function sayLogprob(quantised) {
    const logprob = decode.logprobOf(quantised);
    if (quantised === decode.LOWEST) return `log-probability ${logprob} or lower, probability below 0.001 %`;
    return `log-probability ${logprob.toFixed(2)}, probability ${numbers.short(100 * Math.exp(logprob))} %`;
  }

  /** A text without its tokens; a very long one is cut, with a button that shows all of it. */
  function plainText(text) {
    const shown = foreign(text.length > TO_CUT_AT ? text.slice(0, TO_CUT_AT) : text, "p", { class: "text" });
    if (text.length <= TO_CUT_AT) return shown;
    const more = button(`Show all ${numbers.counted(text.length, "characters")}`, () => {
      shown.textContent = visible(text);
      more.remove();
    });
    return element("div", {}, shown, more);
  }

  /** Make a text whose tokens can be pointed at, and gone over with the arrow keys where it has the focus. */
  function shadedText(text, { logprobs, lengths }) {
    const told = element("output", { class: "told" }, "Point at a token, or press the right arrow here.");
    const spans = spansOf(text, { logprobs, lengths });
    const body = element(
      "p",
      {
        class: "text tokens foreign",
        dir: "auto",
        tabindex: "0",
        role: "group",
        "aria-label": "Tokens of this path; arrow keys go over them",
      },
      ...spans,
    );
    let at = -1;
    const tell = (place) => {
      spans[at]?.classList.remove("here");
      at = place;
      spans[at].classList.add("here");
      told.textContent = `“${visible(pieceOf(spans[at]))}”, token ${at + 1}: ${sayLogprob(logprobs[at])}`;
    };
    body.addEventListener("mouseover", (event) => {
      const place = spans.indexOf(event.target);
      if (place >= 0) tell(place);
    });
    body.addEventListener("keydown", (event) => {
      const place = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: spans.length - 1 }[event.key];
      if (place === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (place >= 0 && place < spans.length) tell(place);
    });
    const cutNote = spans.length < lengths.length ? plainText(text) : null;
    return element(
      "div",
      {},
      body,
      told,
      cutNote && element("details", {}, element("summary", {}, "The whole text"), cutNote),
    );
  }

  const pieceOf = (span) => span.textContent;

  function spansOf(text, { logprobs, lengths }) {
    const spans = [];
    for (let place = 0, start = 0; place < lengths.length && start < TO_CUT_AT; place += 1) {
      const piece = text.slice(start, start + lengths[place]);
      start += lengths[place];
      const name = `shade${shadeOf(decode.logprobOf(logprobs[place]))}${piece ? "" : " empty"}`;
      spans.push(element("span", { class: name }, visible(piece)));
    }
    return spans;
  }

  /** What the shades mean. */
  function legend() {
    const ends = [...SHADES.map((least) => `${100 * least} % or more`), `below ${100 * SHADES.at(-1)} %`];
    const shades = ends.map((words, place) => element("span", { class: `shade${place}` }, words));
    return element("p", { class: "legend" }, "Probability of a token: ", ...shades.flatMap((each) => [each, " "]));
  }

  sertExplorer.tokens = { plainText, shadedText, legend };
}
