// What is shown, as the part of the address behind `#`, and back. No page is touched here.
// The address may come from anybody: what is not known or not allowed is left out.
{
  const { RULES } = sertExplorer.rules;

  const isCount = (value) => Number.isInteger(value) && value >= 0;
  const isShare = (value) => value >= 0 && value <= 1;
  const isLimit = (value) =>
    typeof value === "string"
      ? /^p\d{1,3}(\.\d{1,12})?$/.test(value) && Number(value.slice(1)) <= 100
      : Number.isFinite(value) && value >= 0;
  const isSwitch = (value) => typeof value === "boolean";
  const oneOf =
    (...allowed) =>
    (value) =>
      allowed.includes(value);
  const areRules = (value) => Array.isArray(value) && value.every((name) => RULES.includes(name));

  /** What each setting may be. */
  const ALLOWED = {
    "rules.imitation": isSwitch,
    "rules.option_repetition": isSwitch,
    "rules.direct_response": isSwitch,
    "rules.min_tokens": isCount,
    "rules.max_rep_2": isShare,
    "rules.min_perplexity": isLimit,
    "rules.max_perplexity": (value) => value === null || isLimit(value),
    "rules.unfinished": oneOf("keep", "trim", "drop"),
    "rules.unit": oneOf("tokens", "words"),
    "rules.perplexity_over": oneOf("path", "continuation"),
    "selection.rules": areRules,
    "selection.order": oneOf("rep_2", "random", "mean_logprob", "gain"),
    "selection.only_agreeing": isSwitch,
  };

  function valueOf(settings, path) {
    const [section, name] = path.split(".");
    return settings[section][name] ?? null;
  }

  /** Write what is shown: plain words first, then the settings that differ from those of the run. */
  function write(shown, settings, ofRun) {
    const pairs = Object.entries(shown).filter(([, value]) => value !== null && value !== "");
    const changed = Object.keys(ALLOWED)
      .filter((path) => JSON.stringify(valueOf(settings, path)) !== JSON.stringify(valueOf(ofRun, path)))
      .map((path) => [path, JSON.stringify(valueOf(settings, path))]);
    return `#${new URLSearchParams([...pairs, ...changed])}`;
  }

  /** Read what was written: the words that are known by these names, and the settings. */
  function read(hash, names, ofRun) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const shown = Object.fromEntries(names.map((name) => [name, given.get(name)]));
    const settings = structuredClone({ rules: ofRun.rules, selection: ofRun.selection });
    for (const [path, isAllowed] of Object.entries(ALLOWED)) {
      const value = given.has(path) ? parsed(given.get(path)) : undefined;
      const [section, name] = path.split(".");
      if (value !== undefined && isAllowed(value)) settings[section][name] = value;
    }
    return { shown, settings };
  }

  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  }

  sertExplorer.permalink = { ALLOWED, write, read };
}
