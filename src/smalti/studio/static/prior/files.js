// Files: those that a person chooses, drops or takes from a run, and those that are saved.

import { h } from "../dom.js";
import { job } from "../api.js";

export const MOST_BYTES = 64 * 2 ** 20;

/** Saves what an address holds under a name. */
export function save(address, name) {
  h("a", { href: address, download: name }).click();
}

/** The bytes that an address of the kind `data:` holds. */
export function bytesOf(address) {
  const [, type, text] = /^data:([^;]*);base64,(.*)$/s.exec(address);
  return new Blob([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], { type });
}

/** The pictures of a run's data, to choose from; `onchoose(blob)` hears which. */
export class Examples {
  constructor(onchoose) {
    this.onchoose = onchoose;
    this.element = h("div", {
      class: "strip",
      role: "group",
      "aria-label": "pictures of the run's data",
      hidden: true,
    });
  }

  /** Shows those of a run, if there are any; nothing is wrong without. */
  async open(id) {
    this.control?.abort();
    const control = (this.control = new AbortController());
    this.element.hidden = true;
    try {
      const found = await job(`/api/codes/${id}/use`, { signal: control.signal });
      if (control !== this.control) return;
      this.element.replaceChildren(
        ...found.images.map((address, number) =>
          h(
            "button",
            {
              type: "button",
              title: `Takes one of the ${found.scored}`,
              onclick: () => this.onchoose(bytesOf(address)),
            },
            h("img", {
              src: address,
              alt: `${found.scored}, number ${number + 1}`,
              width: 64,
              height: 64,
            }),
          ),
        ),
      );
      this.element.hidden = found.images.length === 0;
      if (found.images.length) this.first = bytesOf(found.images[0]);
      this.onfound?.();
    } catch {
      this.element.hidden = true; // the model comes without its run, or its data is elsewhere
    }
  }

  close() {
    this.control?.abort();
    this.first = null;
    this.element.hidden = true;
  }
}
