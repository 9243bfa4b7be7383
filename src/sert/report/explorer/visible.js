// Texts of models and data as people can read them: control characters written out, long ones cut.
{
  const HIDDEN = /[\p{C}\p{Z}]/gu;
  const TO_CUT_AT = 20000;

  /** Write characters that cannot be seen, or that turn others around, as their escapes; blank, line and tab stay. */
  function visible(text) {
    return text.replace(HIDDEN, (found) => (found === " " || found === "\n" || found === "\t" ? found : escape(found)));
  }

  /** The same on one line, for rows and labels. */
  function onOneLine(text) {
    return visible(text.replace(/\s+/gu, " ").trim());
  }

  /** A token with its blanks, which are most of what some tokens are, written out. */
  function withBlanks(token) {
    return token.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
  }

  function escape(character) {
    const code = character.codePointAt(0);
    if (code === 13) return "\\r";
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  }

  /** Cut a text behind so many characters, never within one. */
  function cut(text, most) {
    if (text.length <= most) return text;
    const end = /[\uD800-\uDBFF]/.test(text[most - 2]) ? most - 2 : most - 1;
    return `${text.slice(0, end)}…`;
  }

  sertExplorer.visible = { visible, onOneLine, withBlanks, cut, TO_CUT_AT };
}
