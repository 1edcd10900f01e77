// Sends what comes in by lines, as JSON, with the Segment client as it is
// published, and says of each call by its message id whether the client was
// told that it is safe: {"id":"...","ok":true}.
//
//   node send.mjs http://127.0.0.1:8080 WRITE-KEY <calls.jsonl
import { Analytics } from '@segment/analytics-node'
import { createInterface } from 'node:readline'

const [host, writeKey] = process.argv.slice(2)
const most = 2000 // calls that wait for an answer at a time

// More retries than a server that is killed again and again can use up.
const analytics = new Analytics({ writeKey, host, flushAt: 15, flushInterval: 40, maxRetries: 1000 })
analytics.on('error', () => {}) // the callback says it, too

let waiting = 0
let resume = () => {}

function done(id, err) {
  waiting--
  resume()
  console.log(JSON.stringify({ id, ok: err === undefined, error: err && String(err) }))
}

for await (const line of createInterface({ input: process.stdin })) {
  const { type, ...call } = JSON.parse(line)
  while (waiting >= most) await new Promise((r) => (resume = r))
  waiting++
  if (call.timestamp) call.timestamp = new Date(call.timestamp)
  analytics[type](call, (err) => done(call.messageId, err))
}
await analytics.closeAndFlush({ timeout: 60_000 })
