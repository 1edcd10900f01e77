// The operators' page. It asks the API beside it every two seconds, shows with
// every number whether it is live or exact and how old it is, and when the server
// is away keeps what it has, says so, and tries again ever more seldom.
import { words } from './words.js';

const EVERY = 2_000; // milliseconds between two questions
const SELDOM = 30_000; // at most, while the server does not answer
const PATIENCE = 10_000; // for one answer

let lang = pick();
let now; // last answers: {at, day, visitors, pace, status}
let segments; // last answer of /v1/segments
let found; // last search: {id, at, visitor | person | error, again}; nothing of them: nobody is known by that id
let failures = 0;

// --- words and numbers

function pick() {
  try {
    const chosen = localStorage.getItem('fernweh.lang');
    if (chosen in words) return chosen;
  } catch { /* storage may be forbidden: the browser's language will do */ }
  return navigator.language.toLowerCase().startsWith('de') ? 'de' : 'en';
}

function t(key, ...values) {
  const w = words[lang][key];
  return typeof w === 'function' ? w(...values) : w;
}

// locale is how this reader writes numbers and times in the chosen language.
const locale = () => navigator.languages.find((l) => l.toLowerCase().startsWith(lang)) ?? { de: 'de-DE', en: 'en-GB' }[lang];

// formats keeps the formatters: to make one takes longer than to format hundreds.
const formats = new Map();
function format(Kind, options = {}) {
  const key = Kind.name + locale() + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Kind(locale(), options));
  return formats.get(key);
}

const number = (n, options) => format(Intl.NumberFormat, options).format(n);
const percent = (x) => (x == null ? '–' : number(x, { style: 'percent', maximumFractionDigits: 1 }));
const clock = (at) => format(Intl.DateTimeFormat, { hour: '2-digit', minute: '2-digit' }).format(at);
const moment = (at) => format(Intl.DateTimeFormat, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at));

// money shows minor units; how many make one of the currency, the browser knows.
function money(minor, currency) {
  try {
    const digits = format(Intl.NumberFormat, { style: 'currency', currency }).resolvedOptions().maximumFractionDigits;
    const value = minor / 10 ** digits;
    return number(value, { style: 'currency', currency, maximumFractionDigits: Math.abs(value) < 1000 ? digits : 0, minimumFractionDigits: 0 });
  } catch { // not a currency that the browser knows
    return `${number(minor)} ${currency}`;
  }
}

function duration(seconds) {
  const steps = [[86_400, 'day'], [3_600, 'hour'], [60, 'minute'], [1, 'second']];
  const [size, unit] = steps.find(([s]) => seconds >= s) ?? steps[3];
  return number(Math.floor(seconds / size), { style: 'unit', unit, unitDisplay: 'short' });
}

// feature is the word for a feature, or for a segment's name made of them.
const feature = (name) => words[lang].feature[name] ?? name.split(' · ').map((w) => w.split(':').pop().split(' (')).map(([w, rest]) => {
  const less = w.startsWith('less ');
  const word = less ? w.slice(5) : w;
  const said = words[lang].feature[word] ?? word;
  return (less ? `${words[lang].feature.less ?? 'less'} ${said}` : said) + (rest ? ` (${rest}` : '');
}).join(' · ');

// --- elements

function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (v != null && v !== false) e.setAttribute(k, v === true ? '' : v);
  }
  e.append(...children.flat().filter((c) => c != null));
  return e;
}

function svg(tag, attributes = {}, ...children) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

const $ = (id) => document.getElementById(id);

function bar(share) {
  const i = el('i');
  i.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el('div', { class: 'bar', 'aria-hidden': 'true' }, i);
}

// from says live or exact, and how old. The age goes on by itself: tick.
function from(state, provenance, at) {
  const age = el('span', { 'data-age': '' });
  age.source = { provenance, at };
  say(age);
  return [el('span', { class: `badge ${state}` }, t(state)), age];
}

// ageOf is how old what a provenance describes is. When no record waits in the
// log it is as young as its asking: nothing has happened since.
function ageOf({ provenance, at }) {
  const since = (Date.now() - at) / 1000;
  if (provenance.behind === 0) return since;
  return provenance.ageSeconds == null ? null : provenance.ageSeconds + since;
}

function old(seconds) {
  if (seconds == null) return t('age.unknown');
  return seconds < 4 ? t('age.now') : duration(seconds);
}

function say(age) {
  age.textContent = old(ageOf(age.source));
}

const tick = () => document.querySelectorAll('[data-age]').forEach(say);

// --- questions

// The key that an operator has given lives as long as the tab, and goes nowhere but
// to this portal.
const KEY = 'fernweh-key';
const key = () => sessionStorage.getItem(KEY);

async function ask(path) {
  const headers = { Accept: 'application/json', ...(key() && { Authorization: `Bearer ${key()}` }) };
  const response = await fetch(path, { headers, signal: AbortSignal.timeout(PATIENCE) });
  if (response.ok) return response.json();
  let problem = {};
  try { problem = await response.json(); } catch { /* a proxy's page: the status must do */ }
  throw Object.assign(new Error(problem.detail || `${response.status} ${response.statusText}`), { status: response.status });
}

async function look() {
  const [status, day, visitors, pace] = await Promise.all([
    ask('v1/status'),
    ask('v1/kpis?window=4h&by=destination&top=8&measures=sessions,bounces,searches,views,bookings,revenue,refunds'),
    ask('v1/kpis?window=5m&measures=visitors'),
    ask('v1/kpis?window=4h&bucket=1m&measures=events'),
  ]);
  if (!segments || now?.status.generation !== status.generation || segments.model !== status.model) {
    segments = { ...(await ask('v1/segments')), at: Date.now() };
  }
  now = { at: Date.now(), status, day, visitors, pace };
}

// follow looks for ever, and not while nobody looks at the page.
async function follow() {
  for (;;) {
    let wait = EVERY;
    try {
      await look();
      failures = 0;
    } catch (e) {
      failures++;
      wait = Math.min(EVERY * 2 ** failures, SELDOM);
      trouble(e, wait);
    }
    if (failures === 0) {
      show();
      if (found?.again) find(found.id);
    }
    await pause(wait);
    if (document.hidden) await new Promise((done) => document.addEventListener('visibilitychange', done, { once: true }));
  }
}

// pause waits, but not on when the machine finds its network again.
function pause(milliseconds) {
  return new Promise((done) => {
    const timer = setTimeout(end, milliseconds);
    function end() {
      clearTimeout(timer);
      removeEventListener('online', end);
      done();
    }
    addEventListener('online', end);
  });
}

// --- what is shown

function show() {
  document.body.classList.remove('stale');
  showPulse();
  showTiles();
  showPace();
  showPlaces();
  showSegments();
  showFacts();
}

function trouble(error, wait) {
  document.body.classList.add('stale');
  const store = error.status === 503; // the server answers, what it reads from does not
  pulse(store ? 'degraded' : 'lost', t(store ? 'pulse.degraded' : 'pulse.lost'));
  const what = t(store ? 'trouble.store' : 'trouble.server') + (error.status ? ` (${error.message})` : '');
  const next = duration(wait / 1000);
  banner(`${what}. ${now ? t('trouble.old', clock(now.at), next) : t('trouble.next', next)}`);
}

function banner(text) {
  $('trouble').hidden = !text;
  if ($('trouble').textContent !== text) $('trouble').textContent = text;
}

function pulse(state, text) {
  if ($('pulse').dataset.state !== state) $('pulse').dataset.state = state;
  if ($('pulse-text').textContent !== text) $('pulse-text').textContent = text;
}

function showPulse() {
  const { degraded, coverage } = now.status;
  const down = degraded.some((d) => d.state === 'down');
  const why = degraded.map((d) => t(`trouble.${d.state}`, component(d.component), clock(new Date(d.since)), d.reason)).join(' · ');
  banner(degraded.length ? t(down ? 'trouble.stands' : 'trouble.degraded', why) : '');
  if (down) pulse('down', t('pulse.down'));
  else if (degraded.length) pulse('degraded', t('pulse.degraded'));
  else if (coverage.behind > 1000) pulse('behind', t('pulse.behind', number(coverage.behind)));
  else pulse('live', t('pulse.live'));
}

// component is the name of what is in trouble, as a person calls it.
function component(name) {
  const [, layer, partition] = /^(.*?)(?: partition (\d+))?$/.exec(name);
  const known = words[lang].component[layer] ?? layer;
  return partition === undefined ? known : t('component.partition', known, partition);
}

const tiles = [
  ['visitors', () => {
    const c = now.visitors.measures.visitors;
    return [number(c.value), t('tile.visitors.note', percent(c.standardError)), c.state, now.visitors];
  }],
  ['sessions', () => [number(count('sessions').value), t('tile.sessions.note', percent(now.day.rates.bounceRate.value)), count('sessions').state]],
  ['searches', () => [number(count('searches').value), t('tile.searches.note', number(count('views').value)), count('searches').state]],
  ['bookings', () => [number(count('bookings').value), t('tile.bookings.note', percent(now.day.rates.conversion.value)), count('bookings').state]],
  ['revenue', () => {
    const all = [...now.day.revenue].sort((a, b) => b.booked - a.booked);
    if (!all.length) return [number(0), '', count('bookings').state];
    const [first, ...rest] = all;
    const note = [...rest.map((r) => money(r.booked, r.currency)), t('tile.revenue.note', money(first.cancelled, first.currency))];
    return [money(first.booked, first.currency), note.join(' · '), first.state];
  }],
  ['look', () => {
    const rate = now.day.rates.lookToBook;
    return [rate.value == null ? '–' : number(rate.value, { maximumFractionDigits: 1 }), t('tile.look.note'), rate.state];
  }],
];

const count = (measure) => now.day.measures[measure];

function showTiles() {
  $('tiles').setAttribute('aria-busy', String(!now));
  $('tiles').replaceChildren(...tiles.map(([name, read]) => {
    const [n, note, state, source] = now ? read() : ['0', '', null];
    const big = el('dd', { class: now ? 'n' : 'n wait' }, n);
    big.style.fontSize = `min(2rem, ${150 / n.length}cqi)`; // as large as the tile is wide
    return el('div', { class: name === 'visitors' ? 'tile hero' : 'tile', id: `tile-${name}` },
      el('dt', {}, t(`tile.${name}`)),
      big,
      el('dd', { class: 'note' }, note),
      el('dd', { class: 'from' }, now ? from(state, (source ?? now.day).provenance, now.at) : null));
  }));
}

function state(id, value, provenance, at) {
  $(id).className = 'from';
  $(id).replaceChildren(...(value ? from(value, provenance, at) : []));
}

const empty = (title, hint) => el('p', { class: 'empty' }, title ? el('strong', {}, title) : null, hint ?? '');

// showPace draws the events of each minute; the current one is not over yet and
// is left out.
function showPace() {
  const { series, from: start } = now.pace;
  const values = series[0].values.slice(0, -1);
  state('pace-state', now.pace.measures.events.state, now.pace.provenance, now.at);
  if (!values.some(Boolean)) {
    $('pace-read').textContent = '';
    $('pace').replaceChildren(empty('', t('pace.empty')));
    return;
  }
  $('pace').replaceChildren(chart(values, new Date(start).getTime()));
}

// nice is the least of 1, 2, 5, 10, 20, ... that is not below n.
function nice(n) {
  const power = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
  return [1, 2, 5, 10].map((f) => f * power).find((x) => x >= n);
}

function chart(values, start) {
  const [width, height, left, right, top, bottom] = [Math.max($('pace').clientWidth, 280), 190, 48, 10, 22, 24];
  const peak = Math.max(...values);
  const step = nice(peak / 4);
  const most = Math.max(step, Math.ceil(peak / step) * step);
  const x = (i) => left + (i / (values.length - 1)) * (width - left - right);
  const y = (v) => height - bottom - (v / most) * (height - top - bottom);
  const line = values.map((v, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join('');
  const last = values.length - 1;
  const mark = svg('line', { class: 'mark', y1: top, y2: height - bottom, visibility: 'hidden' });
  const out = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': t('pace.label', number(values[last]), number(peak)) });
  out.append(svg('text', { x: 0, y: 10 }, t('pace.unit')));
  for (let v = 0; v <= most; v += step) {
    out.append(svg('line', { class: 'grid', x1: left, x2: width - right, y1: y(v), y2: y(v) }),
      svg('text', { x: left - 8, y: y(v) + 4, 'text-anchor': 'end' }, number(v, { notation: 'compact' })));
  }
  hours(start, values.length, width).forEach((i) => out.append(
    svg('text', { x: x(i), y: height - 6, 'text-anchor': i > last - 8 ? 'end' : 'middle' }, clock(start + i * 60_000))));
  out.append(svg('path', { class: 'area', d: `${line}L${x(last)} ${y(0)}L${x(0)} ${y(0)}Z` }), svg('path', { class: 'line', d: line }),
    mark, svg('circle', { class: 'end', cx: x(last), cy: y(values[last]), r: 3.5 }));
  const read = (i) => { $('pace-read').textContent = t('pace.read', number(values[i]), clock(start + i * 60_000)); };
  read(last);
  out.addEventListener('pointermove', (e) => {
    const box = out.getBoundingClientRect();
    const i = Math.round((((e.clientX - box.left) / box.width) * width - left) / (width - left - right) * last);
    if (i < 0 || i > last) return;
    mark.setAttribute('x1', x(i));
    mark.setAttribute('x2', x(i));
    mark.setAttribute('visibility', 'visible');
    read(i);
  });
  out.addEventListener('pointerleave', () => { mark.setAttribute('visibility', 'hidden'); read(last); });
  return out;
}

// hours are the minutes of a series that begin a half or a whole hour.
function hours(start, length, width) {
  const every = width < 520 ? 60 : 30;
  return [...Array(length).keys()].filter((i) => new Date(start + i * 60_000).getMinutes() % every === 0 && i > 3);
}

function showPlaces() {
  const places = now.day.destinations ?? [];
  const live = places.some((p) => p.state === 'live') || !places.length;
  state('places-state', live ? 'live' : 'exact', now.day.provenance, now.at);
  if (!places.length) {
    $('places').replaceChildren(empty('', t('places.empty')));
    return;
  }
  $('places').replaceChildren(placesTable(places));
}

function placesTable(places) {
  const demand = (p) => p.searches + 2 * p.views + 10 * p.bookings; // what the API orders them by
  const most = Math.max(...places.map(demand), 1);
  const head = ['destination', 'searches', 'views', 'bookings'];
  return el('table', {},
    el('thead', {}, el('tr', {}, head.map((h, i) => el('th', { scope: 'col', class: i ? 'num' : null }, t(h))))),
    el('tbody', {}, places.map((p) => el('tr', {},
      el('td', {}, p.destination, bar(demand(p) / most)),
      ...head.slice(1).map((h) => el('td', { class: 'num' }, number(p[h])))))));
}

let drawn; // what the segments were last drawn from: they seldom change
function showSegments() {
  const key = JSON.stringify([lang, segments]);
  if (key === drawn) return;
  drawn = key;
  const provenance = { ageSeconds: segments.ageSeconds };
  state('segments-state', segments.model ? segments.state : null, provenance, segments.at);
  if (!segments.model) {
    $('segments').replaceChildren(empty(t(segments.problem ? 'segments.problem' : 'segments.none'), segments.problem ?? t('segments.hint')));
    return;
  }
  $('segments').replaceChildren(el('ul', { class: 'segments' }, segments.segments.map(segmentCard)));
}

function segmentCard(s) {
  return el('li', { class: 'segment' },
    el('header', {},
      el('div', {}, el('h3', {}, feature(s.name)), el('p', { class: 'size' }, t('segments.people', number(s.size)))),
      el('p', { class: 'share' }, percent(s.share))),
    bar(s.share),
    el('ul', { class: 'diffs' }, s.differences.slice(0, 5).map((d) => {
      const i = el('i');
      i.style.width = `${Math.min(Math.abs(d.spreads) / 3, 1) * 50}%`;
      const more = d.spreads >= 0;
      return el('li', { class: more ? 'more' : 'less', title: t(more ? 'segments.more' : 'segments.less') },
        el('span', {}, feature(d.feature)), el('span', { class: 'axis', 'aria-hidden': 'true' }, i),
        el('span', { class: 'by' }, `${number(d.spreads, { signDisplay: 'always', maximumFractionDigits: 1, minimumFractionDigits: 1 })} σ`));
    })));
}

function facts(pairs) {
  return pairs.filter(([, v]) => v != null).map(([k, v]) => el('div', {}, el('dt', {}, k), el('dd', {}, v)));
}

function showFacts() {
  const s = now.status;
  const age = el('span', { 'data-age': '' });
  age.source = { provenance: s.coverage, at: now.at };
  say(age);
  $('facts').replaceChildren(...facts([
    [t('generation'), s.generation ? number(s.generation) : t('generation.none')],
    [t('published'), s.published ? moment(s.published) : null],
    [t('model'), s.model || t('generation.none')],
    [t('lag'), s.coverage.behind == null ? t('unknown') : t('records', number(s.coverage.behind))],
    [t('age'), age],
    [t('version'), s.version],
  ]));
  const columns = [['partition', 'partition'], ['cut', 'cut'], ['speed', 'speed'], ['through', 'through'], ['until', 'until'], ['lag', 'behind']];
  $('log').replaceChildren(el('table', {},
    el('thead', {}, el('tr', {}, columns.map(([h]) => el('th', { scope: 'col', class: 'num' }, t(h))))),
    el('tbody', {}, bounds().map((p) => el('tr', {},
      columns.map(([, f]) => el('td', { class: 'num' }, p[f] == null ? '–' : number(p[f]))))))));
}

// bounds are the partitions with the one prefix that bounds every number of the page:
// each question was answered at a moment of its own.
function bounds() {
  const answers = [now.day, now.visitors, now.pace].map((a) => a.provenance.partitions);
  return now.status.coverage.partitions.map((p, i) => ({
    ...p,
    through: Math.min(p.through, ...answers.map((a) => a[i].through)),
    until: Math.max(p.until, ...answers.map((a) => a[i].until)),
  }));
}

// --- one visitor

async function find(id) {
  const asked = { id, at: Date.now() };
  found = asked;
  $('visitor').setAttribute('aria-busy', 'true');
  const answer = await search(id);
  if (found !== asked) return; // another was asked for meanwhile
  found = { id, at: Date.now(), ...answer };
  $('visitor').removeAttribute('aria-busy');
  showFound();
}

// search looks for a device, then for a customer. A server that is away or too
// slow is asked again: follow.
async function search(id) {
  let failed;
  for (const [kind, path] of [['visitor', 'v1/visitors/'], ['person', 'v1/persons/']]) {
    try {
      return { [kind]: await ask(path + encodeURIComponent(id)) };
    } catch (e) {
      if (e.status !== 404) failed = e;
    }
  }
  if (failed?.status === 401) return { locked: true, fresh: true };
  return failed ? { error: failed.message, again: !(failed.status < 500) } : {};
}

// lock asks for the key that personal answers need off this machine.
function lock() {
  const refused = key() !== null;
  const form = el('form', { id: 'unlock' },
    el('label', { for: 'key' }, t(refused ? 'key.wrong' : 'key.label')),
    el('div', { class: 'row' },
      el('input', { id: 'key', name: 'key', type: 'password', autocomplete: 'off', required: '' }),
      el('button', { type: 'submit' }, t('key.use'))));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    sessionStorage.setItem(KEY, form.elements.key.value.trim());
    find(found.id);
  });
  return form;
}

function showFound() {
  if ($('visitor').hasAttribute('aria-busy')) return; // until the answer is there
  $('visitor-state').replaceChildren();
  if (!found) $('visitor').replaceChildren(empty('', t('visitor.hint')));
  else if (found.visitor) $('visitor').replaceChildren(...visitor(found.visitor));
  else if (found.person) $('visitor').replaceChildren(...person(found.person));
  else if (found.locked) {
    if (!document.getElementById('unlock') || found.fresh) $('visitor').replaceChildren(lock());
    found.fresh = false;
  } else if (found.error) $('visitor').replaceChildren(empty('', t('visitor.failed', found.error)));
  else $('visitor').replaceChildren(empty(t('visitor.none', found.id), t('visitor.none.hint')));
}

const chip = (text) => el('span', { class: 'badge plain' }, text);
const pane = (title, ...content) => el('div', { class: 'pane' }, el('h4', {}, title), ...content);

function visitor(v) {
  state('visitor-state', v.provenance.state, v.provenance, found.at);
  return [
    el('div', { class: 'who' }, el('strong', {}, v.device), v.login ? chip(t('logged', v.login)) : null, chip(t(`consent.${v.consent}`))),
    el('div', { class: 'panes' }, segmentPane(v), decisionPane(v), ...numbers(v.totals)),
    el('div', { class: 'panes many' }, ...tastes(v.totals)),
    v.units.length > 1 ? el('h3', { class: 'gap' }, t('units')) : null,
    v.units.length > 1 ? el('div', { class: 'panes' }, v.units.map((u) => unitPane(u.login ? `${t('login')} ${u.login}` : t('before.login'), u.summary))) : null,
    el('h3', { class: 'gap' }, t('provenance')),
    el('div', { class: 'panes' }, provenancePane(v.provenance)),
  ].filter(Boolean);
}

function person(p) {
  const first = p.devices[0];
  state('visitor-state', p.devices.some((d) => d.provenance.state === 'live') ? 'live' : 'exact', first.provenance, found.at);
  return [
    el('div', { class: 'who' }, el('strong', {}, `${t('customer')} ${p.customer}`), chip(t('n.devices', number(p.devices.length)))),
    el('div', { class: 'panes' }, segmentPane(first), ...numbers(p.totals)),
    el('div', { class: 'panes many' }, ...tastes(p.totals)),
    el('h3', { class: 'gap' }, t('devices')),
    el('div', { class: 'panes' }, p.devices.map((d) => el('div', { class: 'pane' },
      el('h4', {}, el('button', { type: 'button', class: 'link', onclick: () => go(d.device) }, d.device)),
      el('p', { class: 'from' }, from(d.provenance.state, d.provenance, found.at)),
      unitLine(d.unit), d.before ? el('p', {}, `${t('before.login')}: ${t('n.events', number(d.before.events))}`) : null,
      d.segment ? el('p', {}, `${t('segment')}: ${feature(d.segment.name)}`) : null))),
    p.leftOut ? el('p', { class: 'empty' }, t('left.out', number(p.leftOut))) : null,
  ].filter(Boolean);
}

function segmentPane(v) {
  const s = v.segment;
  if (!s) return pane(t('segment'), el('p', { class: 'big' }, t(v.consent === 'denied' ? 'segment.denied' : 'segment.none')));
  return pane(t('segment'), el('p', { class: 'big' }, feature(s.name)),
    el('p', {}, t('distance', number(s.distance, { maximumFractionDigits: 1 }))), el('p', {}, `${t('model')} ${s.model}`),
    el('p', { class: 'from' }, from(s.state, v.provenance, found.at)));
}

function decisionPane(v) {
  const d = v.decision;
  if (!d) return null;
  return pane(t('decision'), el('p', { class: 'big' }, `${t('segment')} ${d.segment}`), el('p', {}, moment(d.time)), el('p', {}, `${t('model')} ${d.model}`),
    el('p', { class: 'from' }, el('span', { class: `badge ${d.state}` }, t(d.state)), el('span', {}, old(Math.max(0, (Date.now() - new Date(d.time)) / 1000)))));
}

function numbers(s) {
  return [
    pane(t('sessions'), el('p', { class: 'big' }, number(s.sessions)), el('p', {}, `${t('n.events', number(s.events))} · ${t('n.bounces', number(s.bounces))}`),
      s.countersOnly ? el('p', {}, t('counters')) : null, ...s.money.map((m) => el('p', {}, `${t('booked')} ${money(m.booked, m.currency)}${m.cancelled ? ` · ${t('cancelled')} ${money(m.cancelled, m.currency)}` : ''}`))),
    pane(t('last'), el('p', { class: 'big' }, moment(s.lastSeen)), el('p', {}, `${t('first')} ${moment(s.firstSeen)}`)),
  ];
}

function bars(counts, name) {
  const all = Object.entries(counts).sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  if (!all.length) return el('p', {}, t('nothing'));
  return el('div', { class: 'bars' }, all.slice(0, 8).map(([k, n]) => el('div', { class: 'b' },
    el('span', {}, name(k)), el('span', {}, number(n)), bar(n / all[0][1]))));
}

function tastes(s) {
  return [
    pane(t('did'), bars(s.kinds, (k) => words[lang].kind[k] ?? k)),
    pane(t('likes'), bars(s.styles, feature)),
    pane(t('party'), bars(s.party, feature)),
    s.destinations.length ? pane(t('places.title'), placesTable(s.destinations.slice(0, 5))) : null,
    s.offers.length ? pane(t('offers'), el('table', {}, el('tbody', {}, s.offers.slice(0, 6).map((o) => el('tr', {},
      el('td', {}, o.id), el('td', { class: 'num' }, moment(o.last))))))) : null,
  ];
}

const unitLine = (s) => el('p', {}, `${t('n.events', number(s.events))} · ${t('n.sessions', number(s.sessions))}`);

const unitPane = (title, s) => pane(title, unitLine(s), el('p', {}, `${moment(s.firstSeen)} – ${moment(s.lastSeen)}`));

function provenancePane(p) {
  const age = el('span', { 'data-age': '' });
  age.source = { provenance: p, at: found.at };
  say(age);
  return el('div', { class: 'pane' }, el('dl', { class: 'facts' }, facts([
    [t('state'), el('span', { class: `badge ${p.state}` }, t(p.state))],
    [t('generation'), p.generation ? number(p.generation) : t('generation.none')],
    [t('epochs'), p.epochs.length ? p.epochs.join(', ') : '–'],
    [t('partition'), number(p.partition)],
    [t('cut'), number(p.cut)],
    [t('speed'), number(p.speed)],
    [t('through'), number(p.through)],
    [t('lag'), p.behind == null ? t('unknown') : t('records', number(p.behind))],
    [t('age'), age],
  ])));
}

// --- the page

function speak(chosen) {
  lang = chosen;
  document.documentElement.lang = lang;
  document.querySelectorAll('[data-t]').forEach((e) => { e.textContent = t(e.dataset.t); });
  document.querySelectorAll('[data-t-label]').forEach((e) => e.setAttribute('aria-label', t(e.dataset.tLabel)));
  document.querySelectorAll('[data-lang]').forEach((b) => b.setAttribute('aria-pressed', String(b.dataset.lang === lang)));
  if (now) show();
  else showTiles();
  showFound();
}

// go shows a visitor and puts it into the address, so that a link restores it.
function go(id) {
  location.hash = `visitor=${encodeURIComponent(id)}`;
}

function restore() {
  const id = new URLSearchParams(location.hash.slice(1)).get('visitor');
  if (!id) return;
  $('who').value = id;
  find(id);
}

document.querySelectorAll('[data-lang]').forEach((b) => b.addEventListener('click', () => {
  try { localStorage.setItem('fernweh.lang', b.dataset.lang); } catch { /* then only until the page is closed */ }
  speak(b.dataset.lang);
}));
$('search').addEventListener('submit', (e) => {
  e.preventDefault();
  const id = $('who').value.trim();
  if (!id) return;
  if (new URLSearchParams(location.hash.slice(1)).get('visitor') === id) find(id);
  else go(id);
});
addEventListener('hashchange', restore);
addEventListener('resize', () => { if (now) showPace(); });
setInterval(tick, 1_000);
speak(lang);
restore();
follow();
