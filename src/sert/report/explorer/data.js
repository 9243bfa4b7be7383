// The data of this file: each part is unpacked when it is first asked for. Blocks of texts are kept while used.
{
  const { unpack, unpackJson, columnsOf, tokensOf } = sertExplorer.decode;
  const { FLAGS } = sertExplorer.rules;
  const MOST_BLOCKS = 50;
  const small = new Map();
  const blocks = new Map();
  let opened = null;

  function packed(id) {
    const element = document.getElementById(id);
    if (!element) throw new Error(`This file holds no part “${id}”: it is cut off or was changed. Write it again.`);
    return element.textContent;
  }

  /** Remember what a part became; the promise is kept, so that it is unpacked once. */
  function once(store, id, make) {
    const known = store.get(id) ?? make(id);
    store.delete(id);
    store.set(id, known);
    return known;
  }

  /** The header of the file. */
  async function header() {
    opened = await once(small, "header", async (id) => unpackJson(packed(id)));
    return opened;
  }

  /** The questions of a set, as columns. */
  const questions = (set) => once(small, `questions-${set}`, async (id) => unpackJson(packed(id)));

  /** The outputs of a tested student, as columns. */
  const outputs = (number) => once(small, `outputs-${number}`, async (id) => unpackJson(packed(id)));

  /** The columns of the paths of a pool, with the words of their finishes. */
  async function columns(pool) {
    const { pools } = await header();
    return once(small, `paths-${pool}`, async (id) => {
      const { columns: described, finishes } = pools[pool];
      return { ...columnsOf(await unpack(packed(id)), described), finishes };
    });
  }

  /** What the filter said of each path of a view: `reasons` and `selected`. */
  async function verdicts(view) {
    const { views } = await header();
    return once(small, `view-${view}`, async (id) => {
      const { reason, selected } = columnsOf(await unpack(packed(id)), views[view].columns);
      return { reasons: reason, selected };
    });
  }

  const allThere = new Promise((resolve) => {
    if (document.readyState !== "loading") resolve();
    else document.addEventListener("DOMContentLoaded", resolve, { once: true });
  });

  function block(id, make) {
    const found = once(blocks, id, async () => {
      await allThere;
      return make(packed(id));
    });
    if (blocks.size > MOST_BLOCKS) blocks.delete(blocks.keys().next().value);
    return found;
  }

  /** The packed texts of all blocks of a pool, in order. */
  async function packedTexts(pool) {
    await allThere;
    return Array.from({ length: opened.pools[pool].blocks }, (_, number) => packed(`texts-${pool}-${number}`));
  }

  /** The texts of a question, by its number among those that have paths: prompt, texts, examples. */
  async function texts(pool, number) {
    const size = opened.pools[pool].block;
    return (await blockOfTexts(pool, Math.floor(number / size)))[number % size];
  }

  const blockOfTexts = async (pool, place) => (await block(`texts-${pool}-${place}`, unpackJson)).questions;

  /** The tokens of the paths of a question, by row; paths without tokens are not in it. */
  async function tokens(pool, number) {
    const { block: size, tokens: there } = opened.pools[pool];
    if (there === "none") return new Map();
    const place = Math.floor(number / size);
    const { question_rows: starts, flags, num_tokens: numbers } = await columns(pool);
    return block(`tokens-${pool}-${place}`, async (base64) => {
      const all = (await blockOfTexts(pool, place)).flatMap((question) => question.texts);
      const paths = all
        .map((text, at) => ({ text, row: starts[place * size] + at }))
        .filter(({ row }) => flags[row] & FLAGS.tokens)
        .map((path) => ({ ...path, number: numbers[path.row] }));
      const parts = tokensOf(await unpack(base64), paths);
      return new Map(paths.map(({ row }, at) => [row, parts[at]]));
    });
  }

  sertExplorer.data = { header, questions, outputs, columns, verdicts, texts, tokens, packedTexts };
}
