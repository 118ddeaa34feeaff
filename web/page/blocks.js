'use strict';

const pitch = 11, edge = 9; // of a cell in the map, in CSS pixels: with its gap, and without

// Where blocks are, from the bottom of a cell up. Each place has a pattern beside its colour.
const places = ['memory', 'disk', 'flight'];
const placeWords = ['in memory', 'on disk', 'in flight'];

// canvasOf prepares a canvas of so many CSS pixels, sharp on every screen.
function canvasOf(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = height + 'px';
  const ctx = canvas.getContext('2d');
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  return ctx;
}

// colours are those of the scheme in force.
function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue('--' + name).trim();
}

// paint fills a part of a cell: memory is full, what is on disk is hatched, and what is in
// flight has dots.
function paint(ctx, colour, place, x, y, width, height) {
  if (place === 'memory') {
    ctx.fillStyle = colour('memory');
    ctx.fillRect(x, y, width, height);
    return;
  }
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, width, height);
  ctx.clip();
  ctx.fillStyle = colour(place + '-ground');
  ctx.fillRect(x, y, width, height);
  ctx.strokeStyle = ctx.fillStyle = colour(place);
  if (place === 'disk') {
    ctx.lineWidth = 1.6;
    ctx.beginPath();
    for (let i = 0; i < 2 * edge + height; i += 4) {
      ctx.moveTo(x + i - height, y + height);
      ctx.lineTo(x + i, y);
    }
    ctx.stroke();
  } else {
    for (let row = 0; row < height; row += 4) for (let column = 0; column < width; column += 4) ctx.fillRect(x + column + 1, y + row + 1, 2, 2);
  }
  ctx.restore();
}

function drawCell(ctx, colour, x, y, shares) {
  ctx.strokeStyle = colour('missing');
  ctx.lineWidth = 1;
  ctx.strokeRect(x + 0.5, y + 0.5, edge - 1, edge - 1);
  let bottom = y + edge;
  places.forEach((place, i) => {
    // However small a part is, it is seen.
    const height = shares[i] === 0 ? 0 : Math.min(bottom - y, Math.max(2, Math.round(shares[i] * edge)));
    bottom -= height;
    if (height > 0) paint(ctx, colour, place, x, bottom, edge, height);
  });
}

function drawLegend() {
  const colour = colours();
  for (const swatch of document.querySelectorAll('.swatch')) {
    const ctx = canvasOf(swatch, 14, 14);
    ctx.clearRect(0, 0, 14, 14);
    ctx.scale(14 / edge, 14 / edge);
    drawCell(ctx, colour, 0, 0, places.map((p) => (p === swatch.dataset.place ? 1 : 0)));
  }
}

// A BlockMap is one image's. It is a slider for the keyboard and for screen readers: each of
// its values is a part of the image, whose text says where its blocks are.
class BlockMap {
  constructor() {
    this.name = make('bdi');
    this.size = make('span');
    this.sum = make('p');
    this.canvas = make('canvas');
    this.where = make('p');
    this.at = null; // the cell that is looked at
    this.element = make('li', '', make('h3', '', this.name, this.size), this.sum, this.canvas, this.where);
    this.element.blockMap = this;
    const c = this.canvas;
    c.tabIndex = 0;
    c.setAttribute('role', 'slider');
    c.addEventListener('keydown', (e) => this.key(e));
    c.addEventListener('focus', () => this.look(this.at ?? 0));
    c.addEventListener('blur', () => this.look(null));
    c.addEventListener('pointermove', (e) => this.look(this.under(e)));
    c.addEventListener('pointerdown', (e) => this.look(this.under(e)));
    c.addEventListener('pointerleave', () => this.look(document.activeElement === c ? this.at : null));
    new ResizeObserver(() => this.draw()).observe(c);
  }

  show(image, blockSize) {
    this.image = image;
    this.blockSize = blockSize;
    const total = (list) => list.reduce((sum, n) => sum + n, 0);
    const blocks = Math.ceil(image.size_bytes / blockSize);
    const counts = [image.memory, image.disk, image.in_flight].map(total);
    // Of whole blocks: the last one may be shorter.
    const words = placeWords
      .map((word, n) => (counts[n] ? `${bytes(Math.min(counts[n] * blockSize, image.size_bytes))} ${word}` : '')).filter(Boolean);
    say(this.name, image.name);
    say(this.size, `${bytes(image.size_bytes)}${image.readers ? ', open' : ''}`);
    say(this.sum, `${percent((counts[0] + counts[1]) / blocks)} here${words.length ? ': ' : ''}${words.join(', ')}`);
    this.canvas.setAttribute('aria-label', `Blocks of ${image.name}`);
    this.canvas.setAttribute('aria-valuemin', 0);
    this.canvas.setAttribute('aria-valuemax', image.memory.length - 1);
    this.look(this.at);
  }

  // look tells of one cell, or of none.
  look(at) {
    const i = this.image;
    if (!i) return;
    this.at = at === null ? null : Math.min(Math.max(at, 0), i.memory.length - 1);
    this.canvas.setAttribute('aria-valuenow', this.at ?? 0);
    const text = this.describe(this.at ?? 0);
    this.canvas.setAttribute('aria-valuetext', text);
    this.canvas.title = text;
    say(this.where, this.at === null ? `Each cell is ${bytes(Math.min(i.blocks_per_cell * this.blockSize, i.size_bytes))}.` : text);
    this.draw();
  }

  // counts are those of one cell, and how many blocks it has.
  counts(at) {
    const i = this.image, per = i.blocks_per_cell;
    const blocks = Math.min(per, Math.ceil(i.size_bytes / this.blockSize) - at * per);
    return { blocks, here: [i.memory[at], i.disk[at], i.in_flight[at]] };
  }

  describe(at) {
    const i = this.image, cell = i.blocks_per_cell * this.blockSize;
    const { blocks, here } = this.counts(at);
    const words = placeWords.map((word, n) => (here[n] ? `${percent(here[n] / blocks)} ${word}` : '')).filter(Boolean);
    return `${bytes(at * cell)} to ${bytes(Math.min((at + 1) * cell, i.size_bytes))}: ${words.join(', ') || 'missing'}`;
  }

  columns() { return Math.max(1, Math.floor(this.canvas.clientWidth / pitch)); }

  under(e) {
    const x = Math.floor(e.offsetX / pitch), y = Math.floor(e.offsetY / pitch), at = y * this.columns() + x;
    return x < this.columns() && at < this.image.memory.length ? at : this.at;
  }

  key(e) {
    const row = this.columns(), last = this.image.memory.length - 1, at = this.at ?? 0;
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row, ArrowDown: at + row,
      PageUp: at - 5 * row, PageDown: at + 5 * row, Home: 0, End: last,
    }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    this.look(to);
  }

  draw() {
    const i = this.image, width = this.canvas.clientWidth;
    if (!i || !width) return;
    const columns = this.columns(), rows = Math.ceil(i.memory.length / columns), colour = colours();
    const ctx = canvasOf(this.canvas, width, rows * pitch);
    for (let at = 0; at < i.memory.length; at++) {
      const x = at % columns * pitch, y = Math.floor(at / columns) * pitch;
      const { blocks, here } = this.counts(at);
      drawCell(ctx, colour, x + 1, y + 1, here.map((n) => Math.min(1, n / blocks)));
      if (at === this.at) {
        ctx.strokeStyle = colour('focus');
        ctx.lineWidth = 2;
        ctx.strokeRect(x + 1, y + 1, edge, edge);
      }
    }
  }
}

function showBlocks(answer) {
  const images = answer.images;
  byId('no-images').hidden = images.length > 0;
  const elements = keep(byId('images'), images, (i) => `${i.id} ${i.size_bytes}`, () => new BlockMap().element);
  images.forEach((image, n) => elements[n].blockMap.show(image, answer.block_bytes));
}
