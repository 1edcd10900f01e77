// fernweh.js: one script tag, no dependencies.
//
//   <script src="https://portal.example/fernweh.js" data-write-key="..." async></script>
//
// It sends a page view on load and on each change of the address, and clicks on
// elements that carry data-fernweh-offer, -slot, -decision, -arm or -event. By hand:
// fernweh.track(name, properties), .page(name, properties), .identify(userId),
// .consent(granted), .reset(). A page that calls it before it has loaded pushes onto
// an array: (window.fernweh = window.fernweh || []).push(['track', 'Sign Up']).
//
// An event stays in the queue, and in localStorage, until the collector has
// answered for it; sent twice, it is counted once by its messageId. With Do Not
// Track, Global Privacy Control or a refused consent nothing is sent and no cookie set;
// only the refusal itself is told. A granted consent goes before Do Not Track.
(function (window, document, navigator) {
  'use strict';
  var script = document.currentScript;
  var early = window.fernweh || [];
  if (!script || early.loaded) return;

  var YEAR = 31536000; // seconds
  var MOST_QUEUED = 500; // events; the oldest go first
  var MOST_SENT = 50000; // characters a request: beacons are refused above 64 KiB
  var MOST_AT_ONCE = 200; // events a request: of one device a collector takes no more than it remembers
  var SLOWEST = 60000; // ms between attempts
  var url = script.src.replace(/\/fernweh\.js.*$/, '') + '/v1/batch?writeKey=' +
    encodeURIComponent(script.getAttribute('data-write-key') || '');

  // Storage may be forbidden: then memory has to do.
  function recall(name) { try { return window.localStorage.getItem('fernweh.' + name); } catch (e) { return null; } }
  function remember(name, value) {
    try {
      if (value === null) window.localStorage.removeItem('fernweh.' + name);
      else window.localStorage.setItem('fernweh.' + name, value);
    } catch (e) { /* full or forbidden */ }
  }

  function uuid() {
    if (window.crypto.randomUUID) return window.crypto.randomUUID();
    var hex = Array.prototype.map.call(window.crypto.getRandomValues(new Uint8Array(16)), function (b) {
      return (b + 256).toString(16).slice(1);
    }).join('');
    return hex.slice(0, 8) + '-' + hex.slice(8, 12) + '-4' + hex.slice(13, 16) + '-a' + hex.slice(17, 20) + '-' + hex.slice(20);
  }

  function setCookie(value, seconds) {
    document.cookie = 'fernweh_id=' + value + '; Max-Age=' + seconds + '; Path=/; SameSite=Lax' +
      (window.location.protocol === 'https:' ? '; Secure' : '');
  }

  // The device's id; each use makes the cookie last another year.
  var device = null;
  function anonymousId() {
    var found = /(?:^|; )fernweh_id=([^;]+)/.exec(document.cookie);
    device = found ? found[1] : device || uuid();
    setCookie(device, YEAR);
    return device;
  }

  var choice = recall('consent'); // 'granted', 'denied' or not said
  function silent() {
    if (choice) return choice === 'denied';
    return navigator.doNotTrack === '1' || window.doNotTrack === '1' || navigator.globalPrivacyControl === true;
  }

  var tab = 'queue.' + uuid();
  var queue = adopt();
  var sending = false, timer = null, wait = 0;

  // What earlier pages could not send. A page that is still open may send it too.
  function adopt() {
    var events = [];
    try {
      Object.keys(window.localStorage).forEach(function (k) {
        if (k.indexOf('fernweh.queue.') !== 0) return;
        events = events.concat(JSON.parse(window.localStorage.getItem(k)) || []);
        window.localStorage.removeItem(k);
      });
    } catch (e) { /* forbidden, or not ours */ }
    return events;
  }
  function save() { remember(tab, queue.length ? JSON.stringify(queue) : null); }

  function schedule(ms) {
    if (timer === null && !sending) timer = window.setTimeout(function () { timer = null; flush(); }, ms);
  }

  // The first events that fit into one request.
  function nextBatch(from) {
    var size = 0, to = from;
    while (to < queue.length && to - from < MOST_AT_ONCE && (to === from || size + JSON.stringify(queue[to]).length < MOST_SENT)) {
      size += JSON.stringify(queue[to++]).length;
    }
    return queue.slice(from, to);
  }
  function body(batch) { return JSON.stringify({ batch: batch, sentAt: new Date().toISOString() }); }

  function flush() {
    if (sending || !queue.length) return;
    var batch = nextBatch(0);
    sending = true;
    window.fetch(url, {
      method: 'POST', body: body(batch), headers: { 'Content-Type': 'text/plain' }, credentials: 'omit',
    }).then(function (answer) {
      if (answer.status === 408 || answer.status === 429 || answer.status >= 500) {
        return settle(false, [], Number(answer.headers.get('Retry-After')) * 1000);
      }
      settle(true, batch, 0); // taken, or refused for good
    }, function () { settle(false, [], 0); });
  }

  function settle(ok, done, after) {
    sending = false;
    queue = queue.filter(function (e) { return done.indexOf(e) < 0; });
    save();
    wait = ok ? 0 : Math.max(after || 0, Math.min(SLOWEST, wait * 2 || 1000));
    if (queue.length) schedule(wait);
  }

  // The page goes away: whether a beacon arrives nobody says, so the events
  // also stay in storage for the next page.
  function leave() {
    for (var from = 0, batch; (batch = nextBatch(from)).length; from += batch.length) {
      if (!navigator.sendBeacon(url, new window.Blob([body(batch)], { type: 'text/plain' }))) return;
    }
  }

  function here(referrer) {
    var l = window.location;
    return { path: l.pathname, search: l.search, url: l.href, title: document.title, referrer: referrer };
  }

  function enqueue(type, fields) {
    var event = {
      type: type, messageId: uuid(), anonymousId: anonymousId(), userId: recall('user'),
      timestamp: new Date().toISOString(),
      context: {
        page: here(lastReferrer), locale: navigator.language,
        timezone: window.Intl && window.Intl.DateTimeFormat().resolvedOptions().timeZone,
        library: { name: 'fernweh.js', version: '1' },
      },
    };
    for (var k in fields) event[k] = fields[k];
    queue.push(event);
    queue = queue.slice(-MOST_QUEUED);
    save();
    schedule(wait || 100); // what a page says at once goes in one request
  }
  function send(type, fields) { if (!silent()) enqueue(type, fields); }

  var lastReferrer = document.referrer, lastAddress = null;
  var api = {
    loaded: true,
    track: function (event, properties) { send('track', { event: event, properties: properties || {} }); },
    page: function (name, properties) {
      var p = here(lastReferrer);
      for (var k in properties) p[k] = properties[k];
      send('page', { name: name, properties: p });
    },
    identify: function (userId) {
      if (silent()) return;
      remember('user', String(userId));
      enqueue('identify', { userId: String(userId) });
    },
    consent: function (granted) {
      var was = silent();
      choice = granted ? 'granted' : 'denied';
      remember('consent', choice);
      if (!granted) { queue = []; remember('user', null); }
      enqueue('track', { event: 'Consent Changed', properties: { granted: !!granted } });
      if (!granted) forget();
      else if (was) api.page();
    },
    reset: function () { remember('user', null); forget(); },
    push: function (call) { api[call[0]].apply(null, call.slice(1)); },
  };
  function forget() { device = null; setCookie('', 0); }

  // The address has changed without a page being loaded.
  function moved() {
    if (window.location.href === lastAddress) return;
    if (lastAddress !== null) lastReferrer = lastAddress;
    lastAddress = window.location.href;
    api.page();
  }
  ['pushState', 'replaceState'].forEach(function (name) {
    var original = window.history[name];
    window.history[name] = function () {
      var result = original.apply(this, arguments);
      moved();
      return result;
    };
  });
  window.addEventListener('popstate', moved);
  window.addEventListener('pagehide', leave);
  window.addEventListener('pageshow', function (e) { if (e.persisted && queue.length) schedule(0); });

  // The nearest element around a click that says something says it.
  function said(target, name) {
    var element = target && target.closest && target.closest('[data-fernweh-' + name + ']');
    return element ? element.getAttribute('data-fernweh-' + name) : undefined;
  }
  document.addEventListener('click', function (e) {
    var offer = said(e.target, 'offer'), slot = said(e.target, 'slot'), event = said(e.target, 'event');
    if (!offer && !slot && !event) return;
    api.track(event || (slot ? 'Promotion Clicked' : 'Product Clicked'), {
      product_id: offer, slot: slot, decision: said(e.target, 'decision'), arm: said(e.target, 'arm'),
    });
  }, true);

  window.fernweh = api;
  moved();
  early.forEach(api.push);
  if (queue.length) schedule(0);
})(window, document, navigator);
