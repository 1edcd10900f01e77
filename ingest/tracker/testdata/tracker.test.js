// Runs fernweh.js in a browser made of stubs: node --test, called by tracker_test.go.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const vm = require('node:vm');

const source = fs.readFileSync(path.join(__dirname, '..', 'fernweh.js'), 'utf8');

// A Site is what outlives a page: cookies, storage, and the collector's answers.
class Site {
  cookie = '';
  jar = {};
  storage = {};
  requests = [];
  answers = []; // of the next requests: a status, or 'offline'; then 200
}

// open loads a page of the site. Timers run when the test says so.
function open(site, { href = 'https://reise.example/hotel/42?utm_source=nl', navigator = {}, early } = {}) {
  const listeners = {};
  const timers = [];
  const on = (name, f) => (listeners[name] ||= []).push(f);
  const localStorage = new Proxy({
    getItem: (k) => (k in site.storage ? site.storage[k] : null),
    setItem: (k, v) => { site.storage[k] = String(v); },
    removeItem: (k) => { delete site.storage[k]; },
  }, { ownKeys: () => Object.keys(site.storage), getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) });
  const document = {
    title: 'Quinta do Sol', referrer: 'https://search.example/', addEventListener: on,
    currentScript: { src: 'https://portal.example/fernweh.js?v=1', getAttribute: (n) => (n === 'data-write-key' ? 'W K' : null) },
    get cookie() { return Object.entries(site.jar).map(([k, v]) => `${k}=${v}`).join('; '); },
    set cookie(c) {
      site.cookie = c;
      const [, name, value, age] = /^(\w+)=([^;]*); Max-Age=(\d+)/.exec(c);
      if (age === '0') delete site.jar[name]; else site.jar[name] = value;
    },
  };
  const location = { href: '', get pathname() { return new URL(this.href).pathname; }, get search() { return new URL(this.href).search; }, protocol: 'https:' };
  location.href = href;
  const window = {
    document, location, localStorage, Intl, addEventListener: on, fernweh: early, crypto: globalThis.crypto,
    Blob: class { constructor(parts, { type }) { this.text = parts.join(''); this.type = type; } },
    setTimeout: (f, ms) => { timers.push({ f, ms }); return timers.length; },
    history: { pushState(_s, _t, to) { location.href = new URL(to, location.href).href; }, replaceState() {} },
    fetch: async (url, { body, headers, method }) => {
      const status = site.answers.shift() ?? 200;
      site.requests.push({ url, method, type: headers['Content-Type'], status, ...JSON.parse(body) });
      if (status === 'offline') throw new TypeError('fetch failed');
      return { status, headers: { get: (n) => (n === 'Retry-After' && status === 429 ? '7' : null) } };
    },
  };
  const beacons = [];
  const nav = { language: 'de-DE', sendBeacon: (url, blob) => { beacons.push({ url, type: blob.type, ...JSON.parse(blob.text) }); return true; }, ...navigator };
  vm.runInNewContext(source, { window, document, navigator: nav, URL, Uint8Array });
  return {
    window, beacons, timers,
    fire: (name, event = {}) => (listeners[name] || []).forEach((f) => f(event)),
    run: async () => { // the timers that are set, and what follows from them at once
      for (const t of timers.splice(0)) t.f();
      await new Promise(setImmediate);
    },
  };
}

const events = (site) => site.requests.filter((r) => r.status === 200).flatMap((r) => r.batch);
const element = (attributes) => ({
  closest: (s) => { const n = s.slice(1, -1); return n in attributes ? { getAttribute: () => attributes[n] } : null; },
});

test('a page view is sent on load, with the device in a first-party cookie of a year', async () => {
  const site = new Site();
  await open(site).run();
  const [r] = site.requests;
  assert.equal(r.url, 'https://portal.example/v1/batch?writeKey=W%20K');
  assert.equal(r.type, 'text/plain');
  assert.ok(Date.parse(r.sentAt));
  const [e] = r.batch;
  assert.equal(e.type, 'page');
  assert.deepEqual({ ...e.properties }, {
    path: '/hotel/42', search: '?utm_source=nl', url: 'https://reise.example/hotel/42?utm_source=nl',
    title: 'Quinta do Sol', referrer: 'https://search.example/',
  });
  assert.match(e.messageId, /^[0-9a-f-]{36}$/);
  assert.equal(site.cookie, `fernweh_id=${e.anonymousId}; Max-Age=31536000; Path=/; SameSite=Lax; Secure`);
  assert.equal(e.context.library.name, 'fernweh.js');
});

test('the device stays the same on the next page', async () => {
  const site = new Site();
  await open(site).run();
  await open(site).run();
  const [a, b] = events(site);
  assert.equal(a.anonymousId, b.anonymousId);
  assert.notEqual(a.messageId, b.messageId);
});

test('a change of the address is a page view, the same address is none', async () => {
  const site = new Site();
  const page = open(site);
  page.window.history.pushState(null, '', '/hotel/7');
  page.window.history.replaceState(null, '', '/hotel/7');
  page.window.location.href = 'https://reise.example/';
  page.fire('popstate');
  await page.run();
  assert.deepEqual(events(site).map((e) => e.properties.path), ['/hotel/42', '/hotel/7', '/']);
  assert.equal(events(site)[1].properties.referrer, 'https://reise.example/hotel/42?utm_source=nl');
});

test('clicks say what the elements around them say', async () => {
  const site = new Site();
  const page = open(site);
  page.fire('click', { target: element({ 'data-fernweh-slot': 'hero', 'data-fernweh-offer': 'h1', 'data-fernweh-decision': 'd' }) });
  page.fire('click', { target: element({ 'data-fernweh-offer': 'h2' }) });
  page.fire('click', { target: element({ 'data-fernweh-event': 'Brochure Ordered' }) });
  page.fire('click', { target: element({}) });
  await page.run();
  const clicks = events(site).slice(1).map((e) => [e.event, e.properties.product_id, e.properties.slot, e.properties.decision]);
  assert.deepEqual(clicks, [['Promotion Clicked', 'h1', 'hero', 'd'], ['Product Clicked', 'h2', undefined, undefined],
    ['Brochure Ordered', undefined, undefined, undefined]]);
});

test('track, identify and reset', async () => {
  const site = new Site();
  const page = open(site, { early: [['track', 'Early', { n: 1 }]] });
  page.window.fernweh.identify(42);
  page.window.fernweh.track('After');
  page.window.fernweh.reset();
  page.window.fernweh.track('Stranger');
  await page.run();
  const [, early, identify, after, stranger] = events(site);
  assert.deepEqual([early.event, early.properties.n], ['Early', 1]);
  assert.deepEqual([identify.type, identify.userId, after.userId, stranger.userId], ['identify', '42', '42', null]);
  assert.equal(identify.anonymousId, after.anonymousId);
  assert.notEqual(stranger.anonymousId, after.anonymousId);
});

test('an event stays until it is taken: the same one again, after what the collector asks', async () => {
  const site = new Site();
  site.answers = [429, 'offline', 503];
  const page = open(site);
  await page.run();
  assert.deepEqual(page.timers.map((t) => t.ms), [7000]);
  await page.run();
  assert.deepEqual(page.timers.map((t) => t.ms), [14000]);
  assert.equal(Object.keys(site.storage).length, 1);
  await page.run();
  await page.run();
  assert.equal(site.requests.length, 4);
  assert.equal(new Set(site.requests.map((r) => r.batch[0].messageId)).size, 1);
  assert.deepEqual(site.storage, {});
});

test('a request that is refused for good is not repeated', async () => {
  const site = new Site();
  site.answers = [401];
  const page = open(site);
  await page.run();
  await page.run();
  assert.equal(site.requests.length, 1);
  assert.deepEqual(site.storage, {});
});

test('what a page could not send the next one sends', async () => {
  const site = new Site();
  site.answers = ['offline'];
  const first = open(site);
  await first.run();
  const [lost] = site.requests[0].batch;
  const second = open(site);
  await second.run();
  assert.ok(events(site).some((e) => e.messageId === lost.messageId), 'the event of the first page never arrived');
});

test('at pagehide the queue goes as beacon', async () => {
  const site = new Site();
  const page = open(site);
  for (let i = 0; i < 40; i++) page.window.fernweh.track('Note', { text: 'x'.repeat(3000) });
  page.fire('pagehide');
  assert.equal(page.beacons.flatMap((b) => b.batch).length, 41);
  for (const b of page.beacons) {
    assert.equal(b.type, 'text/plain');
    assert.ok(JSON.stringify(b).length < 65536, 'a beacon is larger than browsers send');
  }
});

for (const navigator of [{ doNotTrack: '1' }, { globalPrivacyControl: true }]) {
  test(`nothing is sent and no cookie set with ${JSON.stringify(navigator)} until consent is granted`, async () => {
    const site = new Site();
    const page = open(site, { navigator });
    page.window.fernweh.track('X');
    page.window.fernweh.identify('u');
    await page.run();
    assert.deepEqual([site.requests.length, site.cookie, Object.keys(site.storage).length], [0, '', 0]);
    page.window.fernweh.consent(true);
    await page.run();
    assert.deepEqual(events(site).map((e) => e.event || e.type), ['Consent Changed', 'page']);
  });
}

test('a refused consent is told, and nothing else from then on', async () => {
  const site = new Site();
  site.answers = ['offline'];
  const page = open(site);
  await page.run();
  page.window.fernweh.consent(false);
  page.window.fernweh.track('X');
  await page.run();
  const next = open(site);
  next.window.fernweh.track('Y');
  await next.run();
  assert.deepEqual(events(site).map((e) => [e.event, e.properties.granted]), [['Consent Changed', false]]);
  assert.equal(events(site)[0].anonymousId, site.requests[0].batch[0].anonymousId);
  assert.deepEqual(site.jar, {});
});
