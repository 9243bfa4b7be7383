// The row of one path in a list: the beginning of its text, fetched when it comes into sight, and its measures.
{
  const { data, words } = sertExplorer;
  const { element, foreignLine } = sertExplorer.dom;
  const { cut } = sertExplorer.visible;

  /** Fill the row of a path; `said` is what the list is about. */
  function fillPathRow(row, path, { model, said }) {
    const { mined, settings } = model;
    const number = model.numberOf(path);
    const text = element("span", { class: "row-text" }, "…");
    row.append(
      text,
      element(
        "span",
        { class: "row-facts" },
        foreignLine(cut(mined.questions.id[model.placeOf(number)], 30), "span", { class: "row-id" }),
        element("span", {}, words.pathName(mined.columns, path)),
        element("span", {}, said),
        element("span", { class: "soft" }, words.measured(mined.columns, settings, path)),
      ),
    );
    data.texts(mined.poolNumber, number).then(({ texts }) => {
      const start = mined.columns.question_rows[number];
      text.replaceChildren(foreignLine(cut(texts[path - start].slice(0, 1000), 200)));
    });
  }

  sertExplorer.pathrow = { fillPathRow };
}
