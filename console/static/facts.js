// @ts-check
// A list of names and values; what did not change is not touched.

/**
 * @typedef {object} Fact
 * @property {string} name
 * @property {string} value
 * @property {boolean} [wide] takes a whole line
 * @property {boolean} [trouble] somebody should look at it
 * @property {boolean} [head] begins a group
 */

/** @param {HTMLElement} parent @param {Fact[]} facts */
export function showFacts(parent, facts) {
  let list = /** @type {HTMLElement | null} */ (parent.querySelector("dl"));
  if (!list) {
    list = document.createElement("dl");
    list.className = "facts";
    parent.append(list);
  }
  while (list.children.length > facts.length) list.lastElementChild?.remove();
  while (list.children.length < facts.length) {
    const line = document.createElement("div");
    line.append(document.createElement("dt"), document.createElement("dd"));
    list.append(line);
  }
  facts.forEach((fact, index) => {
    const line = /** @type {HTMLElement} */ (list.children[index]);
    const kind = [fact.wide && "wide", fact.trouble && "trouble", fact.head && "head"].filter(Boolean).join(" ");
    if (line.className !== kind) line.className = kind;
    const [name, value] = line.children;
    if (name.textContent !== fact.name) name.textContent = fact.name;
    if (value.textContent !== fact.value) value.textContent = fact.value;
  });
}
