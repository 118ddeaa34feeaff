'use strict';

// What a transfer beside the uploads is called.
const words = { warm: 'loading', spool: 'reading as a whole', verify: 'comparing with its hash' };

// pace remembers how fast each transfer went: a mean in which a second counts a quarter.
const pace = new Map();

function paceOf(key, done, time) {
  const before = pace.get(key);
  let now = { done, time, rate: 0 };
  if (before && time > before.time && done >= before.done) {
    const current = (done - before.done) / (time - before.time);
    now.rate = before.rate ? before.rate + (current - before.rate) / 4 : current;
  } else if (before && time === before.time) {
    now = before;
  }
  pace.set(key, now);
  return now.rate;
}

// moving are the uploads and what is read beside them, in one form.
function moving(s) {
  const wordOf = (u) => u.phase !== 'uploading' ? 'upload: ' + u.phase : u.size_bytes > 0 && u.sent_bytes >= u.size_bytes ? 'sent, waiting for the answer' : 'uploading';
  const uploads = s.uploads.map((u) => ({
    key: 'upload ' + u.draft, name: u.name, word: wordOf(u),
    done: u.phase === 'uploading' ? u.sent_bytes : Math.max(u.read_bytes, u.sent_bytes), size: u.size_bytes,
  }));
  const others = (s.transfers || []).map((t) => ({
    key: `${t.kind} ${t.image}`, name: t.name, word: (words[t.kind] || t.kind) + (t.paused ? ', paused' : ''), done: t.done_bytes, size: t.size_bytes,
  }));
  return [...uploads, ...others];
}

function showTransfers(s) {
  const all = moving(s), live = new Set(all.map((t) => t.key));
  for (const key of pace.keys()) if (!live.has(key)) pace.delete(key);
  const elements = keep(byId('transfers'), all, (t) => t.key, () => make('li', '', make('span', '', make('bdi'), ' ', make('span', 'kind')), make('span'), make('progress')));
  all.forEach((t, n) => {
    const [left, right, bar] = elements[n].children, per = paceOf(t.key, t.done, s.uptime_seconds);
    say(left.children[0], t.name);
    say(left.children[1], t.word);
    const rest = per > 0 && t.size > t.done ? `, ${rate(per)}, ${duration((t.size - t.done) / per)} left` : '';
    say(right, t.size ? `${bytes(t.done)} of ${bytes(t.size)}${rest}` : 'begins');
    bar.max = Math.max(1, t.size);
    bar.value = Math.min(t.done, bar.max);
    bar.setAttribute('aria-label', `${t.name}: ${t.word}`);
  });

  const tried = new Set(s.uploads.map((u) => u.draft));
  const still = [
    ...(s.writing || []).map((w) => ({ key: 'writing ' + w.draft, name: w.name, word: 'is being written', size: w.size_bytes })),
    ...s.waiting.filter((w) => !tried.has(w.draft)).map((w) => ({
      key: 'waiting ' + w.draft, name: w.name, word: w.next_try ? 'is tried again' : 'waits for its upload', size: w.size_bytes, why: w.error,
    })),
    ...s.kept_drafts.map((d) => ({ key: 'draft ' + d.draft, name: d.name, word: `kept in staging, ${d.state}`, size: d.size_bytes, why: d.reason })),
  ];
  const rows = keep(byId('waiting'), still, (w) => w.key, () => make('li', '', make('span', '', make('bdi'), ' ', make('span', 'kind')), make('span'), make('span', 'why')));
  still.forEach((w, n) => {
    const [left, right, why] = rows[n].children;
    say(left.children[0], w.name);
    say(left.children[1], w.word);
    say(right, bytes(w.size));
    say(why, w.why || '');
  });
  byId('no-transfers').hidden = all.length + still.length > 0;
}
