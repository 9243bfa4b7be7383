// The settings of a view as the command and the TOML that give it. No page is touched here.
{
  const NOT_PLAIN = /[^A-Za-z0-9_@%+=:,.\/-]/;
  const DRIVING = /[\p{C}\u2028\u2029]/u;

  /** Quote a word for a shell; what could drive a terminal is written as escapes. */
  function quoted(word) {
    if (word !== "" && !NOT_PLAIN.test(word)) return word.startsWith("-") ? `./${word}` : word;
    if (!DRIVING.test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
    const bytes = [...new TextEncoder().encode(word)].map((byte) =>
      byte < 32 || byte > 126 || byte === 39 || byte === 92
        ? `\\x${byte.toString(16).padStart(2, "0")}`
        : String.fromCharCode(byte),
    );
    return `$'${bytes.join("")}'`;
  }

  const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
  const toml = (value) => (Array.isArray(value) ? `[${value.map(toml).join(", ")}]` : JSON.stringify(value));

  /** The settings that differ from others, as triples of section, name and value; what is unset is left out. */
  function differing(settings, others) {
    return ["rules", "selection"].flatMap((section) =>
      Object.entries(settings[section])
        .filter(([name, value]) => value !== null && !others.every((other) => same(value, other[section][name])))
        .map(([name, value]) => [section, name, value]),
    );
  }

  /** The command that filters the mined paths so; it begins from the settings that `sert filter` has by itself. */
  function command(settings, { defaults, mined, out = "filtered" }) {
    const sets = differing(settings, [defaults]).map(([section, name, value]) => {
      const written = typeof value === "string" ? value : toml(value);
      return `--set ${quoted(`${section}.${name}=${written}`)}`;
    });
    return ["sert filter", quoted(mined), ...sets, "--out", quoted(out)].join(" ");
  }

  /** The sections of a configuration that filter so: what differs from the defaults, or from the run that is shown. */
  function tables(settings, { defaults, run }) {
    const found = differing(settings, [defaults, run]);
    const part = (wanted) => {
      const lines = found
        .filter(([section]) => section === wanted)
        .map(([, name, value]) => `${name} = ${toml(value)}`);
      return lines.length ? [`[${wanted}]`, ...lines].join("\n") : "";
    };
    const written = ["rules", "selection"].map(part).filter(Boolean).join("\n\n");
    return written || "# the rules of the paper: nothing needs to be set";
  }

  sertExplorer.command = { command, tables, quoted };
}
