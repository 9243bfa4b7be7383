// From the file's inert elements to bytes, JSON and typed columns. No page is touched here.
{
  const TYPES = { Uint8: Uint8Array, Uint16: Uint16Array, Uint32: Uint32Array, Int32: Int32Array };
  Object.assign(TYPES, { Float32: Float32Array, Float64: Float64Array });
  const Q = 20; // steps of a log-probability a nat

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

  /** Take a block's tokens apart: of each path that has some, their log-probabilities and the ends of their texts. */
  function tokensOf(buffer, numbers) {
    const total = numbers.reduce((sum, number) => sum + number, 0);
    const quantised = new Uint8Array(buffer, 0, total);
    const lengths = new Uint16Array(buffer, total + (total % 2), total);
    let first = 0;
    return numbers.map((number) => {
      const own = { logprobs: quantised.subarray(first, first + number), lengths: lengths.subarray(first, first + number) };
      first += number;
      return own;
    });
  }

  /** The log-probability that a quantised one stands for, in nats; the lowest stands for all below it. */
  const logprobOf = (quantised) => -quantised / Q;
  const LOWEST = 255;

  sertExplorer.decode = { unpack, unpackJson, columnsOf, tokensOf, logprobOf, LOWEST };
}
