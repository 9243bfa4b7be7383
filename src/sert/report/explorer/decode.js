// From the file's inert elements to bytes, JSON and typed columns. No page is touched here.
{
  const TYPES = { Uint8: Uint8Array, Uint16: Uint16Array, Uint32: Uint32Array, Int32: Int32Array };
  Object.assign(TYPES, { Float32: Float32Array, Float64: Float64Array });
  const STEPS = 12; // of the root of a log-probability's negative
  const USUAL = / ?[A-Za-z]+|[^]/y; // what most tokens spell: a word with the blank in front of it, or one unit

  function bytesOf(base64) {
    const binary = atob(base64);
    const bytes = new Uint8Array(binary.length);
    for (let place = 0; place < bytes.length; place += 1) bytes[place] = binary.charCodeAt(place);
    return bytes;
  }

  /** Unpack base64 of gzip to bytes. */
  async function unpack(base64) {
    const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  /** Unpack base64 of gzip of JSON. */
  async function unpackJson(base64) {
    return JSON.parse(new TextDecoder().decode(await unpack(base64)));
  }

  /** Lay columns over bytes, as their description says: name, type, offset in bytes, length. */
  function columnsOf(buffer, described) {
    const laid = described.map(({ name, type, offset, length }) => [name, new TYPES[type](buffer, offset, length)]);
    return Object.fromEntries(laid);
  }

  /** Take a block's tokens apart: of each path that has some, their log-probabilities and lengths. */
  function tokensOf(buffer, paths) {
    const total = paths.reduce((sum, { number }) => sum + number, 0);
    const [logprobs, low, high] = [0, 1, 2].map((plane) => new Uint8Array(buffer, plane * total, total));
    let first = 0;
    return paths.map(({ text, number }) => {
      const lengths = new Uint16Array(number);
      for (let token = 0, place = 0; token < number; token += 1) {
        const code = low[first + token] + 256 * high[first + token];
        lengths[token] = code === 0 ? usualLength(text, place) : code - 1;
        place += lengths[token];
      }
      first += number;
      return { logprobs: logprobs.subarray(first - number, first), lengths };
    });
  }

  function usualLength(text, place) {
    USUAL.lastIndex = place;
    return USUAL.exec(text)?.[0].length ?? 0;
  }

  /** The log-probability that a quantised one stands for, in nats; the lowest stands for all below it. */
  const logprobOf = (quantised) => -((quantised / STEPS) ** 2);
  const LOWEST = 255;

  sertExplorer.decode = { unpack, unpackJson, columnsOf, tokensOf, logprobOf, LOWEST };
}
