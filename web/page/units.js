'use strict';

// bytes in words, as the command line has them; without decimals where there are none.
function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return (Number.isInteger(n) || n >= 10 ? Math.round(n) : n.toFixed(1)) + '\u00a0' + units[unit];
}

const rate = (n) => bytes(n) + '/s';
const percent = (part) => Math.round(part * 100) + '\u00a0%';
const count = (n, one, many) => n.toLocaleString('en') + ' ' + (n === 1 ? one : many);

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return s + ' s';
  if (s < 7200) return Math.round(s / 60) + ' min';
  return s < 172800 ? Math.round(s / 3600) + ' h' : Math.round(s / 86400) + ' days';
}

// make returns an element. What comes from the service is text, never markup.
function make(tag, name, ...inside) {
  const e = document.createElement(tag);
  if (name) e.className = name;
  e.append(...inside);
  return e;
}

const byId = (id) => document.getElementById(id);

// say changes a text only where it differs, so that a screen reader is told once.
function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// keep makes the children of list those of keys, in their order: old ones stay, with the focus.
function keep(list, items, keyOf, fresh) {
  const old = new Map([...list.children].map((e) => [e.dataset.key, e]));
  const focused = document.activeElement;
  items.forEach((item, i) => {
    const key = keyOf(item);
    let e = old.get(key);
    old.delete(key);
    if (!e) {
      e = fresh(item);
      e.dataset.key = key;
    }
    if (list.children[i] !== e) list.insertBefore(e, list.children[i] || null);
  });
  while (list.children.length > items.length) list.lastChild.remove();
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
  return [...list.children];
}
