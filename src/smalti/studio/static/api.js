// Talks to the server: plain data, and jobs of the worker with their events.

/** What the server or the network says is wrong, in a line for people, with the HTTP status. */
export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

const WORDS = {
  403: "the studio was restarted: open the address that it printed last",
  413: "the file is too large: a picture may have 64 MiB",
};

async function checked(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("the studio does not answer; is it still running in the terminal?");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  const words = WORDS[response.status] ?? told.message ?? `the server says ${response.status}`;
  throw new Problem(words, response.status);
}

/** Plain data from an address. */
export async function get(path) {
  return (await checked(fetch(path))).json();
}

/** What reading tells where the stream broke off; that the page itself gave up is passed on. */
function ended(error) {
  if (error.name === "AbortError") throw error;
  return { done: true };
}

/**
 * Has the worker do a job and returns its result.
 * `on(event, data)` hears of all that happens before; `signal` gives the job up.
 */
export async function job(path, { body, signal, on = () => {} } = {}) {
  const response = await checked(fetch(path, { method: "POST", body, signal }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch(ended);
    if (done) throw new Problem("the studio ended before the job was done");
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const one of events) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(one);
      const parsed = JSON.parse(data);
      if (event === "done") return parsed;
      if (event === "failed") throw new Problem(parsed.message);
      if (event === "cancelled") throw new DOMException("cancelled", "AbortError");
      on(event, parsed);
    }
  }
}
