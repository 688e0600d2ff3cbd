// @ts-check
// Panels of which one is seen; the tabs carry a mark where somebody should look (WAI-ARIA tabs).

export class Tabs {
  /** @param {HTMLElement} list of buttons, each with `aria-controls` */
  constructor(list) {
    this.buttons = /** @type {HTMLButtonElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
    this.buttons.forEach((button, index) => button.addEventListener("click", () => this.open(index)));
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.open((this.current + step + this.buttons.length) % this.buttons.length);
      this.buttons[this.current].focus();
    });
    this.current = 0;
    this.open(0);
  }

  /** @param {number} index */
  open(index) {
    if (!this.buttons[index]) return;
    this.current = index;
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === index));
      button.tabIndex = i === index ? 0 : -1;
      const panel = document.getElementById(button.getAttribute("aria-controls") ?? "");
      if (panel) panel.hidden = i !== index;
    });
  }

  /** @param {number} index @param {string} text @param {boolean} trouble */
  mark(index, text, trouble) {
    const button = this.buttons[index];
    if (button.textContent !== text) button.textContent = text;
    button.dataset.trouble = String(trouble);
  }
}
