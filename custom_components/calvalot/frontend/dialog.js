// A dialog over the page: a title, something to fill in or to read, buttons.

import { h, setText } from "./dom.js";
import { refusal } from "./wording.js";

export class Dialog {
  constructor(card, title) {
    this.card = card;
    this._title = h("h2", { id: "dialog-title" }, title);
    this.body = h("div", { class: "dialog-body" });
    this._error = h("p", { class: "refused", role: "alert" });
    this._buttons = h("div", { class: "buttons" });
    this._form = h(
      "form",
      { method: "dialog", onsubmit: (event) => this._submit(event) },
      this._title,
      this.body,
      this._error,
      this._buttons,
    );
    this.element = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => this._closed() }, this._form);
    card.dialog = this;
    card.shadowRoot.append(this.element);
    this.element.showModal();
  }

  // `content` is shown; `buttons` are [text, what to do, class] and the first one is what Enter does. Without an action it closes.
  show(content, ...buttons) {
    this.body.replaceChildren(...content);
    this.refuse("");
    this._act = buttons[0]?.[1];
    const made = buttons.map(([text, act, kind = ""], index) =>
      h(
        "button",
        {
          type: index ? "button" : "submit",
          class: `act ${kind}`,
          onclick: index ? () => (act ?? this.close.bind(this))() : undefined,
        },
        text,
      ),
    );
    this._buttons.replaceChildren(...made.reverse());
    const first =
      this.body.querySelector("input") ?? made.find((button) => !button.classList.contains("danger")) ?? made.at(-1);
    first?.focus();
  }

  title(text) {
    setText(this._title, text);
  }

  refuse(text) {
    setText(this._error, text);
  }

  close() {
    this.element.close();
  }

  async _submit(event) {
    event.preventDefault();
    if (!this._act) return this.close();
    const buttons = this._buttons.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      await this._act();
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  _closed() {
    this.element.remove();
    if (this.card.dialog === this) this.card.dialog = undefined;
  }
}

// Asks once more whether something is to be done; what it is refused for is shown, else the title is said.
export function sure(card, title, content, button, send, look = "strong") {
  const dialog = new Dialog(card, title);
  const go = async () => {
    try {
      await send();
    } catch (error) {
      return dialog.refuse(await refusal(card.hass, error));
    }
    card.live.textContent = title;
    dialog.close();
  };
  dialog.show(content, [button, go, look], [card.word("cancel")]);
}
