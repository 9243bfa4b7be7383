// Search in all texts of a pool, in a worker, so that the page stays quick; it tells how far it has come.
{
  const AT_ONCE = 8; // blocks between two reports

  /** What the worker runs: it gets the packed blocks once, then words to look for. It knows nothing of this page. */
  function work() {
    let blocks = [];
    let starts = null;
    let size = 1;
    let current = 0;

    async function textsOf(base64) {
      const binary = atob(base64);
      const bytes = new Uint8Array(binary.length);
      for (let place = 0; place < bytes.length; place += 1) bytes[place] = binary.charCodeAt(place);
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      return JSON.parse(await new Response(stream).text()).questions;
    }

    function rowsOf(questions, first, words) {
      const rows = [];
      questions.forEach(({ texts }, place) => {
        const start = starts[first + place];
        texts.forEach((text, offset) => {
          if (text.toLowerCase().includes(words)) rows.push(start + offset);
        });
      });
      return rows;
    }

    async function search({ number, words, atOnce }) {
      for (let place = 0; place < blocks.length && current === number; place += atOnce) {
        const some = blocks.slice(place, place + atOnce);
        const unpacked = await Promise.all(some.map(textsOf));
        const rows = unpacked.flatMap((questions, at) => rowsOf(questions, (place + at) * size, words));
        if (current === number) {
          const done = Math.min(place + atOnce, blocks.length);
          self.postMessage({ number, rows, done, total: blocks.length });
        }
      }
      if (!blocks.length) self.postMessage({ number, rows: [], done: 0, total: 0 });
    }

    self.onmessage = ({ data }) => {
      if (data.blocks) ({ blocks, starts, size } = data);
      current = data.number;
      if (data.words) {
        search(data).catch((error) => self.postMessage({ number: data.number, failure: String(error) }));
      }
    };
  }

  let worker = null;
  let poolThere = null;
  let number = 0;

  function start() {
    const source = new Blob([`"use strict";(${work})()`], { type: "text/javascript" });
    const address = URL.createObjectURL(source);
    worker = new Worker(address);
    URL.revokeObjectURL(address);
  }

  /** Stop the search that runs, if one does. */
  function stop() {
    number += 1;
    if (worker) worker.postMessage({ number });
  }

  /**
   * Look for words in all texts of a pool, whatever their letters' case. `tell` is called with the rows found so far,
   * and how much is done; a later search, or `stop`, ends this one.
   */
  async function search(words, { pool, tell }) {
    stop();
    const own = number;
    const [blocks, columns] = [await sertExplorer.data.packedTexts(pool), await sertExplorer.data.columns(pool)];
    if (own !== number) return;
    if (!worker) start();
    const { block: size } = (await sertExplorer.data.header()).pools[pool];
    const found = [];
    worker.onmessage = ({ data }) => {
      if (data.number !== number) return;
      for (const row of data.rows ?? []) found.push(row);
      tell({ rows: found, done: data.done, total: data.total, failure: data.failure });
    };
    worker.onerror = (event) => tell({ rows: found, done: 0, total: 1, failure: event.message || "it did not start" });
    const message = { number: own, words: words.toLowerCase(), atOnce: AT_ONCE };
    if (poolThere !== pool) Object.assign(message, { blocks, size, starts: columns.question_rows });
    poolThere = pool;
    worker.postMessage(message);
  }

  sertExplorer.searching = { search, stop };
}
