// The operators' page in headless Chromium, against a portal that a Go test
// (serving/browser_test.go) runs: PORTAL is its address, EMPTY that of one where
// nothing has happened, CONTROL lets something happen, SHOTS is a folder for
// screenshots (empty: none are taken, they cost a second each).
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const { PORTAL, EMPTY, CONTROL, SHOTS, CHROMIUM } = process.env;
const foreign = [];
const complaints = [];

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update'],
});

// open opens the page; unless it is told to expect failures, what the browser
// complains of is held against it.
async function open(url, { expectFailures = false, ...options } = {}) {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/Berlin', viewport: { width: 1280, height: 900 }, ...options });
  context.on('request', (r) => {
    if (new URL(r.url()).origin !== new URL(url).origin) foreign.push(r.url());
  });
  const page = await context.newPage();
  page.on('pageerror', (e) => complaints.push(`error: ${e.message}`));
  page.on('console', (m) => {
    const notFound = /404/.test(m.text()) && /\/v1\/(visitors|persons)\//.test(m.location().url); // the answer to a search
    if (['error', 'warning'].includes(m.type()) && !expectFailures && !notFound) complaints.push(`${m.type()}: ${m.text()}`);
  });
  await page.goto(url);
  return page;
}

const text = async (page, selector) => (await page.textContent(selector)).trim();
const until = (page, what, condition, argument) => page.waitForFunction(condition, argument, { timeout: 60_000 })
  .catch(() => assert.fail(`waited in vain until ${what}`));
const api = async (path) => (await fetch(PORTAL + path)).json();
const control = async (what) => assert.equal((await fetch(`${CONTROL}/${what}`)).status, 200, what);
const shot = (page, name) => SHOTS && page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
const loaded = (page) => until(page, 'numbers appear', () => document.querySelector('#tiles')?.getAttribute('aria-busy') === 'false');

const cut = (page) => page.evaluate(() => [...document.querySelectorAll('.tile .n')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent));

async function find(page, id) {
  await page.fill('#who', id);
  await page.press('#who', 'Enter');
}

const steps = {
  async 'live numbers appear, are those of the API, and move'(open) {
    const page = await open(PORTAL);
    await loaded(page);
    const day = await api('/v1/kpis?window=4h');
    const shown = async (name) => (await text(page, `#tile-${name} .n`)).replace(/[^0-9]/g, '');
    for (const name of ['sessions', 'searches', 'bookings']) {
      assert.equal(await shown(name), String(day.measures[name].value), name);
    }
    assert.match(await text(page, '#tile-revenue .n'), /€/);
    for (const badge of await page.locator('.tile .badge').allTextContents()) assert.match(badge, /^(live|exact)$/);
    assert.equal(await page.locator('.tile [data-age]').count(), 6, 'every number says how old it is');
    await control('book');
    await until(page, 'a booking is counted', (n) => document.querySelector('#tile-bookings .n').textContent === n, String(day.measures.bookings.value + 1));
    assert.equal(await page.locator('#pace svg .line').count(), 1);
    assert.ok(await page.locator('#pace svg text').count() > 6, 'the axes have labels');
    assert.match(await text(page, '#pace svg'), /events\/min/);
    await page.hover('#pace svg', { position: { x: 300, y: 80 } });
    assert.match(await text(page, '#pace-read'), /^\d+ at \d\d:\d\d$/);
    assert.deepEqual(await cut(page), [], 'no number is cut');
    await shot(page, 'light-en');
  },

  async 'destinations and segments are listed'(open) {
    const page = await open(PORTAL);
    await loaded(page);
    assert.ok(await page.locator('#places tbody tr').count() >= 3);
    const { segments } = await api('/v1/segments');
    assert.equal(await page.locator('.segment').count(), segments.length);
    for (const card of await page.locator('.segment').all()) {
      assert.match(await card.locator('.share').textContent(), /%/);
      assert.ok((await card.locator('h3').textContent()).length > 2);
      assert.ok(await card.locator('.diffs li').count() >= 3, 'what sets a segment apart');
    }
  },

  async 'Herr Mueller is found by device and by customer number'(open) {
    const page = await open(PORTAL);
    await find(page, 'mueller-laptop');
    await until(page, 'he is shown', () => document.querySelector('.who strong')?.textContent === 'mueller-laptop');
    const shown = await text(page, '#visitor');
    for (const word of ['Sylt', 'quiet', 'upscale', 'couple', 'Login 4711', 'Before the first login', 'Offers viewed', 'Holds all below', 'Generation']) {
      assert.ok(shown.includes(word), `${word} is missing in: ${shown}`);
    }
    assert.ok(await page.locator('#visitor-state .badge').count() === 1);
    await shot(page, 'visitor');
    await find(page, '4711');
    await until(page, 'the customer is shown', () => document.querySelector('.who strong')?.textContent === 'Customer 4711');
    await page.click('.link:has-text("mueller-phone")');
    await until(page, 'his telephone is shown', () => document.querySelector('.who strong')?.textContent === 'mueller-phone');
    await page.goBack();
    await until(page, 'the way back leads to the customer', () => document.querySelector('.who strong')?.textContent === 'Customer 4711');
    await shot(page, 'person');
    await find(page, 'nobody <b>&');
    await until(page, 'nobody is found', () => document.querySelector('#visitor .empty strong')?.textContent === 'Nobody is known as “nobody <b>&”.');
  },

  async 'a link restores what was looked at'(open) {
    const page = await open(`${PORTAL}/#visitor=mueller-laptop`);
    await until(page, 'he is shown', () => document.querySelector('.who strong')?.textContent === 'mueller-laptop');
  },

  async 'it speaks German to whoever does, and as one chooses'(open) {
    const german = await open(PORTAL, { locale: 'de-DE' });
    await loaded(german);
    assert.equal(await german.getAttribute('html', 'lang'), 'de');
    assert.equal(await text(german, '#segments-title'), 'Segmente');
    assert.equal(await text(german, '#tile-bookings dt'), 'Buchungen');
    assert.doesNotMatch(await german.innerText('body'), /undefined|\bless\b|Bookings|Searches/);
    await find(german, 'mueller-laptop');
    await until(german, 'he is shown', () => document.querySelector('.who strong')?.textContent === 'mueller-laptop');
    await shot(german, 'light-de');
    const english = await open(PORTAL);
    await english.click('[data-lang=de]');
    await until(english, 'the language changes', () => document.documentElement.lang === 'de');
    await english.reload();
    await until(english, 'the choice is kept', () => document.querySelector('#segments-title').textContent === 'Segmente');
    assert.equal(await english.getAttribute('[data-lang=de]', 'aria-pressed'), 'true');
  },

  async 'it is dark where the system is'(open) {
    const brightness = (page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).reduce((a, b) => a + Number(b), 0));
    const light = await open(PORTAL, { colorScheme: 'light' });
    const dark = await open(PORTAL, { colorScheme: 'dark' });
    await loaded(dark);
    assert.ok(await brightness(light) > 600 && await brightness(dark) < 150);
    await find(dark, 'mueller-laptop');
    await until(dark, 'he is shown', () => document.querySelector('.who strong')?.textContent === 'mueller-laptop');
    await shot(dark, 'dark');
  },

  async 'it fits a telephone'(open) {
    const page = await open(PORTAL, { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, locale: 'de-DE' });
    await loaded(page);
    await find(page, 'mueller-laptop');
    await until(page, 'he is shown', () => document.querySelector('.who strong')?.textContent === 'mueller-laptop');
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, 'nothing is wider than the screen');
    assert.deepEqual(await cut(page), [], 'no number is cut');
    await shot(page, 'phone');
  },

  async 'everything can be reached and is named without a mouse'(open) {
    const page = await open(PORTAL);
    await loaded(page);
    const reached = [];
    for (let i = 0; i < 8; i++) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className || document.activeElement.dataset.lang || document.activeElement.tagName));
    }
    for (const one of ['skip', 'de', 'en', 'who', 'BUTTON', 'SUMMARY']) assert.ok(reached.includes(one), `${one} is not among ${reached}`);
    assert.ok(await page.getByLabel('Device or customer number').isVisible());
    assert.ok(await page.getByRole('img', { name: /Events per minute over four hours/ }).isVisible());
    assert.ok(await page.getByRole('group', { name: 'Language' }).isVisible());
  },

  async 'a portal where nothing has happened says what will come'(open) {
    const page = await open(EMPTY);
    await loaded(page);
    assert.match(await text(page, '#pace'), /No events in the last four hours/);
    assert.match(await text(page, '#places'), /Nobody has searched/);
    assert.match(await text(page, '#segments'), /No model yet/);
    await shot(page, 'empty');
  },

  async 'answers about a person ask for a key, once a tab'(open) {
    const page = await open(PORTAL, { expectFailures: true });
    await page.route(/\/v1\/(visitors|persons)\//, (route) => (route.request().headers().authorization === 'Bearer right'
      ? route.continue() : route.fulfill({ status: 401, contentType: 'application/problem+json', body: '{"detail":"a key"}' })));
    await loaded(page);
    await find(page, 'mueller-laptop');
    await until(page, 'the page asks for a key', () => document.querySelector('#key')?.type === 'password');
    assert.match(await text(page, '#unlock label'), /need an administrator/);
    await page.fill('#key', 'wrong');
    await page.press('#key', 'Enter');
    await until(page, 'a wrong key is said', () => /not known/.test(document.querySelector('#unlock label')?.textContent));
    await shot(page, 'locked');
    await page.fill('#key', 'right');
    await page.click('#unlock button');
    await until(page, 'he is shown', () => document.querySelector('.who strong')?.textContent === 'mueller-laptop');
    await find(page, 'nobody-here');
    await until(page, 'the key is kept', () => /nobody-here/.test(document.querySelector('#visitor').textContent) && !document.querySelector('#key'));
  },
  async 'what stands still is said at once in both languages, and is over when it is over'(open) {
    const page = await open(EMPTY);
    await until(page, 'all is well', () => document.querySelector('#pulse').dataset.state === 'live');
    await control('limit');
    await until(page, 'it goes on with less', () => document.querySelector('#pulse').dataset.state === 'degraded');
    assert.match(await text(page, '#trouble'), /^Working with what there is: the collector is limited since \d\d:\d\d \(events wait in the spool\)$/);
    await control('refuse');
    await until(page, 'the collector refuses', () => document.querySelector('#pulse').dataset.state === 'down');
    assert.equal(await text(page, '#pulse-text'), 'Out of order');
    assert.match(await text(page, '#trouble'), /^Not everything works: the collector stands still since \d\d:\d\d \(no space left on device\) · the speed layer in partition 3 stands still since \d\d:\d\d \(panic: nil map\)$/);
    await shot(page, 'down-en');
    await page.click('[data-lang=de]');
    await until(page, 'it is said in German', () => document.querySelector('#pulse-text').textContent === 'Gestört');
    assert.match(await text(page, '#trouble'), /^Nicht alles arbeitet: der Eingang steht seit \d\d:\d\d still \(no space left on device\) · die Speed-Schicht in Partition 3 steht/);
    await shot(page, 'down-de');
    await control('accept');
    await until(page, 'all is well again', () => document.querySelector('#trouble').hidden && document.querySelector('#pulse').dataset.state === 'live');
  },

  async 'a store that fails is said, and is over when it is over'(open) {
    const page = await open(PORTAL, { expectFailures: true });
    await loaded(page);
    const before = await text(page, '#tile-sessions .n');
    await control('break');
    await until(page, 'the failure is said', () => !document.querySelector('#trouble').hidden && document.body.classList.contains('stale'));
    assert.match(await text(page, '#trouble'), /the disk is full/);
    assert.equal(await text(page, '#tile-sessions .n'), before, 'the last numbers stay');
    await find(page, 'mueller-laptop');
    await until(page, 'the failed search is said', () => /That did not work: .*the disk is full/.test(document.querySelector('#visitor').textContent));
    await shot(page, 'degraded');
    await control('mend');
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await until(page, 'all is well again', () => document.querySelector('#trouble').hidden && document.querySelector('#pulse').dataset.state === 'live');
    await until(page, 'he is shown without being asked for again', () => document.querySelector('.who strong')?.textContent === 'mueller-laptop');
  },
};

let failed = 0;
async function run([name, step]) {
  const start = performance.now();
  const pages = [];
  try {
    await step(async (...args) => {
      const page = await open(...args);
      pages.push(page);
      return page;
    });
    console.log(`ok   ${name} (${Math.round(performance.now() - start)} ms)`);
  } catch (e) {
    failed++;
    console.log(`FAIL ${name}: ${e.message}`);
  }
  await Promise.all(pages.map((p) => p.context().close())); // an open page goes on asking and drawing
}

// The first step counts and the last breaks the store: they must be alone. More
// than two at a time take longer: each draws its page again every two seconds.
const all = Object.entries(steps);
for (const group of [all.slice(0, 1), all.slice(1, -1), all.slice(-1)]) {
  const next = async () => { while (group.length) await run(group.shift()); };
  await Promise.all([next(), next()]);
}
await browser.close();
if (foreign.length) console.log(`FAIL no request leaves the host: ${[...new Set(foreign)].join(', ')}`);
if (complaints.length) console.log(`FAIL the browser does not complain: ${[...new Set(complaints)].join(' | ')}`);
process.exit(failed || foreign.length || complaints.length ? 1 : 0);
