// Package elastic keeps the portal's documents in Elasticsearch.
//
// A document is written whole, under its own id and with an external version,
// so the server keeps the highest version whoever writes late, and a write
// whose answer was lost is simply sent again. Strict mappings lie in index
// templates that Open puts and holds existing indices to. Everything that the
// server may say to one document of many is looked at: older is fine, busy is
// tried again, and what can never be written is named. Only this package knows
// the client, and only its low-level half, which compiles in seconds.
package elastic
