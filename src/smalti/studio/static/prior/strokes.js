// Strokes over a picture by pointer, or by arrow keys and the space bar.

const STEPS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/**
 * Listens to strokes over a canvas whose surface is `size()` = [width, height] large.
 * `begin()` hears of a new stroke, `dab(x, y)` of each place of it without gaps, `hover(x, y)` where
 * the keyboard stands.
 */
export function listenToStrokes(canvas, { size, begin, dab, hover = () => {}, step = () => 1 }) {
  let last = null,
    cursor = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect(),
      [width, height] = size();
    return [
      Math.floor(((event.clientX - box.left) / box.width) * width),
      Math.floor(((event.clientY - box.top) / box.height) * height),
    ];
  };
  const line = ([x0, y0], [x1, y1]) => {
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
    for (let at = 1; at <= steps; at++)
      dab(Math.round(x0 + ((x1 - x0) * at) / steps), Math.round(y0 + ((y1 - y0) * at) / steps));
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    begin();
    dab(...last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = place(event);
    line(last, next);
    last = next;
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => (last = null));
  canvas.addEventListener("keydown", (event) => {
    const [width, height] = size();
    if (event.key in STEPS) {
      event.preventDefault();
      const [x, y] = cursor ?? [Math.floor(width / 2), Math.floor(height / 2)];
      const [right, down] = STEPS[event.key].map((one) => one * step());
      cursor = [
        Math.min(Math.max(x + right, 0), width - 1),
        Math.min(Math.max(y + down, 0), height - 1),
      ];
      hover(...cursor);
    } else if (event.key === " " && cursor) {
      event.preventDefault();
      begin();
      dab(...cursor);
      hover(...cursor);
    }
  });
}
