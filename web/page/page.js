'use strict';

const every = 1000; // between two looks, in milliseconds
const patience = 10000; // for an answer, in milliseconds

const throughput = new Plot(byId('throughput'), { lines: ['from', 'to'], words: ['From the service', 'To the service'], scale: rate });
const ratio = new Plot(byId('ratio'), { lines: ['hits', 'memory'], words: ['From memory or disk', 'From memory'], scale: percent, max: 1 });

async function get(path) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(patience) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// sent is what the uploads under way have sent since then. One that was tried again begins at 0.
function sent(s, before) {
  const earlier = new Map(before.uploads.map((u) => [u.draft, u.sent_bytes]));
  return s.uploads.reduce((sum, u) => {
    const was = earlier.get(u.draft) ?? 0;
    return sum + u.sent_bytes - (u.sent_bytes >= was ? was : 0);
  }, 0);
}

// moved is what has moved between two looks at one daemon; null where nothing can be said.
function moved(s, before) {
  const seconds = before && before.pid === s.pid && before.started === s.started ? s.uptime_seconds - before.uptime_seconds : 0;
  if (seconds <= 0) return null;
  const disk = (c) => c.disk?.hits ?? 0;
  const memory = s.cache.hits - before.cache.hits, ondisk = disk(s.cache) - disk(before.cache);
  const all = memory + ondisk + s.cache.misses - before.cache.misses;
  return {
    from: (s.cache.fetched_bytes - before.cache.fetched_bytes) / seconds, to: sent(s, before) / seconds,
    hits: all > 0 ? (memory + ondisk) / all : null, memory: all > 0 ? memory / all : null,
  };
}

function tile(id, text, small) {
  const e = byId(id);
  if (e.textContent === text + (small ? ' ' + small : '')) return;
  e.replaceChildren(text, ...(small ? [' ', make('small', '', small)] : []));
}

let before = null;

function showStatus(s) {
  const m = moved(s, before);
  before = s;
  if (m) {
    throughput.add(s.uptime_seconds, [m.from, m.to]);
    ratio.add(s.uptime_seconds, [m.hits, m.memory]);
    tile('now-from', rate(m.from));
    tile('now-to', rate(m.to));
    tile('now-hits', m.hits === null ? '–' : percent(m.hits), m.hits === null ? 'nothing was read' : 'of blocks read');
  }
  const disk = s.cache.disk, through = s.passthrough.open_handles;
  tile('now-memory', bytes(s.cache.bytes), 'of ' + bytes(s.cache.limit_bytes));
  tile('now-disk', disk ? bytes(disk.bytes) : 'none', disk ? `of ${bytes(disk.limit_bytes)}, ${count(disk.images, 'image', 'images')}` : s.cache.warning);
  tile('now-files', String(s.open_handles), through ? `${through} read by the kernel alone, not counted here` : '');
  tile('now-images', s.listing.images.toLocaleString('en'), s.listing.age_seconds === null ? 'known; not listed yet' : duration(s.listing.age_seconds) + ' ago');

  document.title = `${s.mountpoint} – imagefs`;
  say(byId('mountpoint'), s.mountpoint);
  say(byId('state'), `${s.state}${s.options.read_only ? ', read-only' : ''}; ${s.service.url}`);
  say(byId('about'), `imagefs ${s.version}, up ${duration(s.uptime_seconds)}, process ${s.pid} ·`);
  const troubles = s.service.trouble.map((t) => `The ${t.service} service ${t.pause ? 'asked for a pause' : t.away ? 'is away' : 'fails'}: ${t.error}`);
  if (s.listing.warning) troubles.push(`The listing is old: ${s.listing.warning}`);
  trouble(troubles.join('\n'));
  showTransfers(s);
}

function trouble(text) {
  byId('trouble').hidden = !text;
  say(byId('trouble'), text);
}

let paused = false, timer = 0, looking = false;

// look asks once, and again later: at most a tenth of the time is the daemon asked.
async function look() {
  clearTimeout(timer);
  if (paused || document.hidden || looking) return;
  looking = true;
  const began = performance.now();
  try {
    const [status, blocks] = await Promise.all([get('api/status'), get('api/blocks')]);
    document.body.classList.remove('stale');
    showStatus(status);
    showBlocks(blocks);
  } catch (error) {
    document.body.classList.add('stale');
    trouble(`No answer from the mount (${error.message}). What is shown is old; it is asked again each second.`);
  }
  looking = false;
  timer = setTimeout(look, Math.max(every, 9 * (performance.now() - began)));
}

byId('pause').addEventListener('click', () => {
  paused = !paused;
  byId('pause').setAttribute('aria-pressed', paused);
  say(byId('pause'), paused ? 'Go on' : 'Pause');
  look();
});
document.addEventListener('visibilitychange', look);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  drawLegend();
  for (const e of byId('images').children) e.blockMap.draw();
});
drawLegend();
look();
