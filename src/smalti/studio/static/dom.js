// Makes elements. No markup is ever parsed: what comes from a file's name stays text.

/** An element with attributes; `on...` are listeners, booleans set or leave out an attribute. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

let number = 0;

/** A control with its label and, below it, a line that explains it. */
export function field(label, control, hint) {
  control.id ||= `control-${++number}`;
  const line = h("small", { id: `hint-${control.id}` }, hint);
  control.setAttribute("aria-describedby", line.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, line);
}

/** A button that its title explains. */
export function button(text, hint, onclick, attributes = {}) {
  return h("button", { type: "button", title: hint, onclick, ...attributes }, text);
}

/** A command to type, with a button that copies it. */
export function command(text) {
  const code = h("code", {}, text),
    copied = h("span", { role: "status" });
  const copy = button("copy", `Copies: ${text}`, async () => {
    try {
      await navigator.clipboard.writeText(text);
      copied.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code); // browsers copy from this machine's pages only
      copied.textContent = "selected: press Ctrl-C";
    }
  });
  return h("p", { class: "command" }, code, copy, copied);
}

/** A path as a shell reads it. */
export function quoted(path) {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'"'"'`)}'`;
}

/** A number of things in words. */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
