'use strict';

const least = 60, most = 300; // seconds that a plot shows: it grows with what there is

// A Plot draws lines over the last five minutes into an SVG. Its samples are kept by the page
// alone: they begin when it is opened.
class Plot {
  constructor(svg, { lines, words, scale, max }) {
    Object.assign(this, { svg, lines, words, scale, max, samples: [] });
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  // add takes the values of the lines at a time, in seconds; null where there is none.
  add(time, values) {
    this.samples.push({ time, values });
    this.samples = this.samples.filter((s) => s.time >= time - most);
    this.draw();
  }

  draw() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width) return;
    const box = { left: 66, right: width - 8, top: 8, bottom: height - 22 };
    const top = this.max ?? niceBytes(Math.max(...this.samples.flatMap((s) => s.values.map((v) => v ?? 0)), 0));
    const now = this.samples.at(-1)?.time ?? 0;
    const span = Math.min(most, Math.max(least, now - (this.samples[0]?.time ?? 0)));
    const x = (time) => box.right - (now - time) / span * (box.right - box.left);
    const y = (value) => box.bottom - value / top * (box.bottom - box.top);

    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const at = y(top * share);
      parts.push(shape('line', { class: 'grid', x1: box.left, x2: box.right, y1: at, y2: at }));
      parts.push(label(box.left - 6, at + 4, 'end', this.scale(top * share)));
    }
    parts.push(label(box.left, height - 5, 'start', `${duration(span)} ago`), label(box.right, height - 5, 'end', 'now'));
    this.lines.forEach((name, i) => {
      let path = '', pen = 'M';
      for (const s of this.samples) {
        const value = s.values[i];
        if (value === null) { pen = 'M'; continue; }
        path += `${pen}${x(s.time).toFixed(1)} ${y(Math.min(value, top)).toFixed(1)}`;
        if (pen === 'M') path += 'h.1'; // one sample alone is a dot
        pen = 'L';
      }
      parts.push(shape('path', { class: name, d: path }));
    });
    this.svg.replaceChildren(...parts);
    const last = this.samples.at(-1)?.values;
    this.svg.setAttribute('aria-label', last
      ? this.words.map((w, i) => `${w}: ${last[i] === null ? 'nothing was read' : this.scale(last[i])}`).join('; ')
      : 'nothing yet');
  }
}

// niceBytes is the end of a scale that is easy to halve, in bytes: at least what is shown.
function niceBytes(n) {
  let unit = 1 << 20;
  while (n > unit * 1000) unit *= 1024;
  for (const step of [1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 800, 1000]) if (n <= step * unit) return step * unit;
  return n;
}

function shape(tag, attributes) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

function label(x, y, anchor, text) {
  const e = shape('text', { x, y, 'text-anchor': anchor });
  e.textContent = text;
  return e;
}
